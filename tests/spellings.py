"""Sizes, ages and durations, and how both the command line and the dashboard write them."""

SIZES = {
    0: "0 B",
    1: "1 B",
    999: "999 B",
    1000: "1.0 kB",
    1049: "1.0 kB",
    1050: "1.1 kB",  # halves are rounded up
    12_250: "12.3 kB",  # Python would round this half to even
    99_949: "99.9 kB",
    99_950: "100 kB",
    900_500: "901 kB",
    999_499: "999 kB",
    999_500: "1.0 MB",
    83_500_000: "83.5 MB",
    900_000_000: "900 MB",
    1_200_000_000: "1.2 GB",
    12_345_678_901: "12.3 GB",
    5_000_000_000_000: "5000 GB",
}

AGES = {
    -1: "0 s",
    0: "0 s",
    7.9: "7 s",
    119.9: "119 s",
    120: "2 min",
    7199: "119 min",
    7200: "2 h",
    172_799: "47 h",
    172_800: "2 days",
    1_000_000: "11 days",
}

DURATIONS = {
    -0.5: "0 ms",
    0: "0 ms",
    0.0034: "3 ms",
    0.0035: "4 ms",
    0.5: "500 ms",
    0.9994: "999 ms",
    0.9996: "1.0 s",
    2.25: "2.3 s",
    9.94: "9.9 s",
    9.96: "10 s",
    10: "10 s",
    125: "2 min",
}

# Foreign text, in which nothing may control a terminal or the direction of writing.
TEXTS = {
    "/x é 日本": "/x é 日本",
    "a\x1b[31m\x7fb": "a�[31m�b",
    "c1\x85\x9b": "c1��",
    "\u202e\u2066\u200f\u061c": "����",
    "\u2028\u2029": "��",
}
