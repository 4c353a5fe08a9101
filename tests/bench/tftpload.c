/* A TFTP load generator: many clients in one process fetch a file at once, each from its own port.
 *
 *   tftpload SERVER FILE CLIENTS TIMES BLOCK_BYTES WINDOW_BLOCKS LOSS_PERCENT
 *
 * Each client fetches FILE the given number of TIMES, one after the other, in lock step or with windows (RFC
 * 1350, 2348, 7440; an option that is missing from the OACK has the default of RFC 1350). Prints "seconds
 * bytes" for each client, then "window BLOCKS"; exits with 1 if a client was refused or gave up. The clients
 * themselves drop packets, in both directions, because not every kernel has netem; the seed is always the same.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { RRQ = 1, DATA = 3, ACK = 4, ERROR = 5, OACK = 6 };

static const double ASK_SECONDS = 4;      /* before a request is sent again; as in edk2's PXE */
static const double RETRY_SECONDS = 0.25; /* before an ACK is sent again; as in iPXE (retry.c) */
static const double GIVE_UP_SECONDS = 40;
static const double LOOK_SECONDS = 0.02;
enum { BURST = 16 }; /* datagrams of one client before the next has its turn */

struct client {
    int fd, has_peer, block_bytes, window_blocks, in_window, times, gap_reported;
    unsigned last; /* the last block that arrived in order */
    long bytes;
    double heard_at, seconds;
    unsigned dice;
};

static struct sockaddr_in server = {.sin_family = AF_INET};
static char request[600];
static size_t request_bytes;
static int poll_fd;
static double loss;

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec * 1e-9;
}

static int is_lost(struct client *c) { return loss > 0 && rand_r(&c->dice) < loss * RAND_MAX; }

static void ask(struct client *c) {
    c->heard_at = now();
    if (!is_lost(c)) sendto(c->fd, request, request_bytes, 0, (struct sockaddr *)&server, sizeof server);
}

static void begin(struct client *c) {
    int room = 1 << 20;
    c->fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
    if (c->fd < 0) { perror("socket"); exit(1); }
    setsockopt(c->fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof room);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
    epoll_ctl(poll_fd, EPOLL_CTL_ADD, c->fd, &event);
    c->has_peer = c->in_window = c->gap_reported = 0;
    c->last = 0;
    c->block_bytes = 512;
    c->window_blocks = 1;
    ask(c);
}

static void acknowledge(struct client *c) {
    unsigned char ack[4] = {0, ACK, c->last >> 8 & 255, c->last & 255};
    c->in_window = 0;
    if (!is_lost(c)) send(c->fd, ack, sizeof ack, 0);
}

static void settle(struct client *c, char *at, char *end) {
    while (at < end) {
        char *value = at + strlen(at) + 1;
        if (value >= end) return;
        if (!strcasecmp(at, "blksize")) c->block_bytes = atoi(value);
        if (!strcasecmp(at, "windowsize")) c->window_blocks = atoi(value);
        at = value + strlen(value) + 1;
    }
}

/* Take one datagram; return whether it was the file's last. */
static int take(struct client *c, unsigned char *data, int size) {
    unsigned number = data[2] << 8 | data[3];
    if (data[1] == ERROR) { fprintf(stderr, "error %u: %s\n", number, data + 4); exit(1); }
    if (data[1] == OACK && !c->last) {
        settle(c, (char *)data + 2, (char *)data + size);
        acknowledge(c);
    }
    if (data[1] != DATA) return 0;
    if (number != ((c->last + 1) & 0xffff)) {
        int is_repeat = c->last && number == (c->last & 0xffff);
        /* Our ACK was lost (RFC 1350 section 2); or there is a gap, and we ask once for the rest (RFC 7440 section 4). */
        if (is_repeat) acknowledge(c);
        else if (c->window_blocks > 1 && !c->gap_reported) { c->gap_reported = 1; acknowledge(c); }
        return 0;
    }
    c->gap_reported = 0;
    c->last++;
    c->bytes += size - 4;
    int is_end = size - 4 < c->block_bytes;
    if (++c->in_window >= c->window_blocks || is_end) acknowledge(c);
    return is_end;
}

/* Read what has come for a client; return whether it has fetched its file so often as it should. */
static int drain(struct client *c, double began) {
    static unsigned char data[65536];
    for (int turn = 0; turn < BURST; turn++) {
        struct sockaddr_in from;
        socklen_t length = sizeof from;
        int size = recvfrom(c->fd, data, sizeof data - 1, 0, (struct sockaddr *)&from, &length);
        if (size < 4) return 0;
        if (is_lost(c)) continue;
        data[size] = 0;
        c->heard_at = now();
        if (!c->has_peer) c->has_peer = !connect(c->fd, (struct sockaddr *)&from, length);
        if (!take(c, data, size)) continue;
        close(c->fd);
        if (--c->times) { begin(c); return 0; }
        c->seconds = now() - began;
        return 1;
    }
    return 0;
}

int main(int count, char **arguments) {
    if (count != 8) { fputs("tftpload SERVER FILE CLIENTS TIMES BLOCK_BYTES WINDOW_BLOCKS LOSS_PERCENT\n", stderr); return 2; }
    inet_aton(arguments[1], &server.sin_addr);
    server.sin_port = htons(69);
    int clients = atoi(arguments[3]), window = atoi(arguments[6]), left = clients;
    loss = atof(arguments[7]) / 100;
    request_bytes = 2 + sprintf(request + 2, "%s%coctet%cblksize%c%s%ctsize%c0", arguments[2], 0, 0, 0, arguments[5], 0, 0) + 1;
    request[1] = RRQ;
    if (window > 1) request_bytes += sprintf(request + request_bytes, "windowsize%c%d", 0, window) + 1;

    poll_fd = epoll_create1(0);
    struct client *all = calloc(clients, sizeof *all);
    double began = now(), looked_at = began;
    for (int i = 0; i < clients; i++) {
        all[i].dice = i + 1;
        all[i].times = atoi(arguments[4]);
        begin(&all[i]);
    }
    while (left) {
        struct epoll_event ready[256];
        int found = epoll_wait(poll_fd, ready, 256, LOOK_SECONDS * 1000);
        for (int i = 0; i < found; i++) left -= drain(ready[i].data.ptr, began);
        double at = now();
        if (at - began > GIVE_UP_SECONDS) { fprintf(stderr, "%d of %d clients gave up\n", left, clients); return 1; }
        if (at - looked_at < LOOK_SECONDS) continue;
        looked_at = at;
        for (int i = 0; i < clients; i++) {
            double silence = at - all[i].heard_at;
            if (!all[i].times || silence < (all[i].has_peer ? RETRY_SECONDS : ASK_SECONDS)) continue;
            all[i].heard_at = at;
            if (all[i].has_peer) acknowledge(&all[i]); else ask(&all[i]);
        }
    }
    for (int i = 0; i < clients; i++) printf("%.6f %ld\n", all[i].seconds, all[i].bytes);
    printf("window %d\n", all[0].window_blocks);
    return 0;
}
