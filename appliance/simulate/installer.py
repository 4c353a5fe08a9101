"""The RHCOS installer: it fetches what its kernel arguments name, in the order of the real one.

Three forms: the initramfs that writes a raw image (OpenShift 4.1 to 4.5), the live
system with coreos-installer (4.6 and later), and a live system with an Ignition
configuration of its own, in which a cluster installs itself.
"""

import asyncio
import gzip
import json
import re
import zlib

from appliance.simulate.dracut import Arguments, bring_up
from appliance.simulate.http import Http, HttpError, Response
from appliance.simulate.lease import Lease
from appliance.simulate.machine import Disk, Phase, StepError
from appliance.simulate.run import Run
from appliance.simulate.script import Ending

CURL_AGENT = "curl/7.76.1"
CURL_TRIES = 6  # curl --retry 5
API_INT = re.compile(r"https?://api-int\.(?P<domain>[a-z0-9.-]+?)(?::\d+)?/config/")


async def install(run: Run, ending: Ending) -> Disk:
    """Return the disk written by the kernel and initramfs of *ending*. Raises StepError."""
    assert ending.kernel is not None
    arguments = Arguments(ending.kernel.arguments)
    _check_kernel_line(ending, arguments)
    if "ignition.firstboot" in arguments.words:
        return await _live_cluster(run, arguments)
    device = arguments.need("coreos.inst.install_dev")
    lease = await bring_up(run, arguments, Phase.INSTALLER)
    run.tell(Phase.INSTALLER, f"{lease.address}; installs to {device}")
    rootfs = arguments.get("coreos.live.rootfs_url")
    image = arguments.get("coreos.inst.image_url")
    ignition_url = arguments.need("coreos.inst.ignition_url")
    if rootfs or len(ending.initrds) > 1:
        ignition = await _live(run, lease, rootfs, image, ignition_url)
    else:
        ignition = await _legacy(run, lease, image or arguments.need("coreos.inst.image_url"), ignition_url)
    if run.machine.is_dry:
        run.tell(Phase.INSTALLER, f"would write {device}, and stops here")
        return Disk(device, "", arguments.line)
    domain = check_ignition(run, ignition, ignition_url)
    run.tell(Phase.INSTALLED, f"wrote {device}, reboots")
    return Disk(device, domain, arguments.line)


async def _live_cluster(run: Run, arguments: Arguments) -> Disk:
    """Behave like a live system in which a cluster installs itself; return the disk that it wrote.

    Its Ignition comes from the initramfs (agent-based), or from the URL of ignition.config.url (in place).
    """
    machine = run.machine
    if (platform := arguments.get("ignition.platform.id")) != "metal":
        raise StepError(
            Phase.INSTALLER,
            "Ignition does not run as on a physical machine",
            sent=arguments.line,
            received=f"ignition.platform.id={platform}",
            check="the script's kernel command line",
        )
    rootfs, url = arguments.need("coreos.live.rootfs_url"), arguments.get("ignition.config.url")
    lease = await bring_up(run, arguments, Phase.INSTALLER)
    run.tell(Phase.INSTALLER, f"{lease.address}; {'installs itself in place' if url else 'runs the agent'}")
    domain = machine.expected.name.partition(".")[2]
    if url:
        # Ignition retries 5xx without end, and sends no User-Agent that matters here.
        async with run.http(lease, "Ignition/2.20.0") as client:
            answer = await _ignition(run, client, url, tries=None)
        if not machine.is_dry:
            domain = check_ignition(run, answer, url) or domain
    elif machine.expected.ignition:
        look = "`boot` of the host in cluster.yaml"
        raise StepError(
            Phase.IGNITION,
            "it gets no Ignition file",
            sent=arguments.line,
            received="no ignition.config.url=",
            check=look,
        )
    await _rootfs(run, lease, rootfs)
    if machine.is_dry:
        run.tell(Phase.INSTALLER, "would install itself, and stops here")
        return Disk("the disk of its installer", "", arguments.line)
    run.tell(Phase.INSTALLED, "wrote its disk, reboots")
    return Disk("the disk of its installer", domain, arguments.line)


async def _rootfs(run: Run, lease: Lease, url: str) -> None:
    """Behave like coreos-livepxe-rootfs."""
    async with run.http(lease, CURL_AGENT) as curl:
        await _until_answered(run, curl, url)
        head = await _head(curl, url)
        answer = await run.get(curl, url, Phase.IMAGE, "the rootfs", tries=CURL_TRIES)
        _check_length(head, answer)
        run.tell(Phase.IMAGE, f"rootfs: {answer.size:,} bytes")


def _check_kernel_line(ending: Ending, arguments: Arguments) -> None:
    """Raise StepError where the kernel would not find its initramfs."""
    if ending.hands_initrd_over and ending.initrds:
        return
    named = [image.name for image in ending.initrds]
    wanted = arguments.all("initrd")
    if not named or not set(wanted) & set(named):
        raise StepError(
            Phase.KERNEL,
            "the kernel would not find its initramfs and would panic (VFS: unable to mount root)",
            sent=f"initrd={','.join(wanted) or 'nothing'} on the kernel command line",
            received=f"initrd images named {', '.join(named) or 'nothing'}",
            check="initrd= takes iPXE's name of the image: its file name, or --name",
        )


async def _live(run: Run, lease: Lease, rootfs: str, image: str, ignition_url: str) -> Response:
    """Behave like coreos-livepxe-rootfs and coreos-installer; return the response with the Ignition file."""
    if rootfs:
        await _rootfs(run, lease, rootfs)
    # coreos-installer sends no User-Agent, and retries 503 without end.
    async with run.http(lease, "") as installer:
        ignition = await _ignition(run, installer, ignition_url, tries=None)
        if image:
            answer = await run.get(installer, image, Phase.IMAGE, "the image")
            run.tell(Phase.IMAGE, f"image: {answer.size:,} bytes")
    return ignition


async def _legacy(run: Run, lease: Lease, image: str, ignition_url: str) -> Response:
    """Behave like the initramfs of 4.1 to 4.5, which uses curl; return the response with the Ignition file."""
    async with run.http(lease, CURL_AGENT) as curl:
        head = await _head(curl, image)
        ignition = await _ignition(run, curl, ignition_url, tries=CURL_TRIES)
        answer = await run.get(curl, image, Phase.IMAGE, "the image", tries=1)
        _check_length(head, answer)
        run.tell(Phase.IMAGE, f"image: {answer.size:,} bytes")
    return ignition


async def _ignition(run: Run, http: Http, url: str, *, tries: int | None) -> Response:
    """Return the response with the Ignition file; in a dry run that to HEAD, which the appliance does not count."""
    is_dry = run.machine.is_dry
    answer = await run.get(http, url, Phase.IGNITION, "Ignition", keeps=True, is_head=is_dry, tries=tries)
    size = f"{answer.length:,} bytes, not fetched" if is_dry else f"{answer.size:,} bytes"
    run.tell(Phase.IGNITION, f"Ignition: {size}")
    return answer


async def _until_answered(run: Run, curl: Http, url: str) -> None:
    """Send HEAD until the server responds at all, as the live initramfs does every 5 s."""
    for attempt in range(run.machine.patience.http_tries):
        try:
            await curl.head(url)
        except HttpError as error:
            run.retries += 1
            if attempt + 1 == run.machine.patience.http_tries:
                look = "is the web server running and reachable from the node network?"
                raise StepError(
                    Phase.IMAGE, "the server does not respond", sent=f"HEAD {url}", received=str(error), check=look
                ) from error
            await asyncio.sleep(min(5.0, run.machine.patience.longest_pause))
        else:
            return


async def _head(curl: Http, url: str) -> Response:
    try:
        head = await curl.head(url)
        came = f"status {head.status}, Content-Length {head.headers.get('content-length', 'missing')}"
    except HttpError as error:
        head, came = None, str(error)
    if head is None or head.status != 200 or head.length is None:
        look = "is the file in the data directory and readable? Run `ocp-appliance validate`"
        raise StepError(Phase.IMAGE, "the size of the image is unknown", sent=f"HEAD {url}", received=came, check=look)
    return head


def _check_length(head: Response, answer: Response) -> None:
    if head.length != answer.size:
        came = f"HEAD returned a length of {head.length} bytes, GET {answer.size} bytes"
        look = "was the file replaced in between?"
        raise StepError(
            Phase.IMAGE, "HEAD and GET disagree", sent=f"HEAD and GET {answer.url}", received=came, check=look
        )


def check_ignition(run: Run, answer: Response, url: str) -> str:
    """Return the cluster domain that an Ignition file refers to, or "". Raises StepError."""
    body = answer.body
    try:
        if body[:2] == b"\x1f\x8b":
            body = gzip.decompress(body)
        version = json.loads(body)["ignition"]["version"]
    except (ValueError, KeyError, TypeError, OSError, EOFError, RecursionError, zlib.error) as error:
        raise StepError(
            Phase.IGNITION,
            "the file is not an Ignition configuration",
            sent=f"GET {url}",
            received=f"{len(body)} bytes: {body[:60]!r}",
            check="the .ign file in the data directory",
        ) from error
    pointer = API_INT.search(body.decode("utf-8", "replace"))
    domain = pointer["domain"] if pointer else ""
    host = run.machine.expected.name
    if domain and host and not host.endswith(f".{domain}"):
        raise StepError(
            Phase.IGNITION,
            "the Ignition file belongs to another cluster",
            sent=f"GET {url} as {host}",
            received=f"version {version}, which names api-int.{domain}",
            check="the .ign files in the data directory; create them again for this cluster",
        )
    role = run.machine.expected.ignition
    if role and not url.endswith(role):
        look = "the host's role in cluster.yaml"
        raise StepError(Phase.IGNITION, f"{host} got {url}", sent="its script", received=f"not {role}", check=look)
    return domain
