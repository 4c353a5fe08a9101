"""What a host is doing at this moment, from its events; lost at a restart."""

from dataclasses import dataclass

from appliance import events
from appliance.events import Event

# Events that report what the appliance concluded, and not what the host did.
_OURS = frozenset(
    {
        events.InstallSettled,
        events.DoubtLapsed,
        events.LoaderSilent,
        events.RecipeChosen,
        events.StageReached,
        events.ConditionRaised,
        events.HostUnanswered,
        events.ClientUnproven,
        events.Ordered,
        events.BootstrapCompleted,
        events.BalancerOrdered,
        events.MemberMoved,
        events.MemberAnswers,
        events.MemberFails,
    }
)


# What only an installer and the script before it fetch.
_INSTALLER = frozenset(
    {
        events.WebKind.KERNEL,
        events.WebKind.INITRAMFS,
        events.WebKind.ROOTFS,
        events.WebKind.METAL,
        events.WebKind.IGNITION,
    }
)


@dataclass(slots=True)
class Activity:
    """A host's latest transfer, and when it was last heard from. Times in seconds UTC."""

    seen_at: float = 0.0
    what: str = ""  # the kind of file of the latest transfer: loader, kernel, rootfs …
    path: str = ""
    sent: int = 0  # bytes of the file
    total: int = 0
    began_at: float = 0.0
    moved_at: float = 0.0  # when the last bytes went out
    is_under_way: bool = False
    installing_at: float = 0.0  # when an image or Ignition was last sent, asked for, or put off
    # When it first asked the machine config server and the API through the load balancer, since it was installed.
    asked_config_at: float = 0.0
    asked_api_at: float = 0.0

    def hear(self, event: Event, at: float) -> None:
        """Record one event of the host."""
        if type(event) in _OURS:
            return
        self.seen_at = at
        match event:
            case (
                events.WebStarted()
                | events.WebProgress()
                | events.WebFinished()
                | events.WebRefused()
                | events.TftpFinished()
            ):
                if event.what in _INSTALLER:
                    self.installing_at = at
                    self.asked_config_at = self.asked_api_at = 0.0
        match event:
            case events.BalancerReached():
                if event.asks_config:
                    self.asked_config_at = self.asked_config_at or at
                else:
                    self.asked_api_at = self.asked_api_at or at
            case events.TftpStarted():
                self._begin(event.what.value, event.path, 0, event.total, at)
            case events.WebStarted():
                self._begin(event.what.value, event.path, event.first, event.total, at)
            case events.WebProgress() if event.path == self.path:
                self.sent, self.moved_at = event.position, at
            case events.WebFinished() if event.path == self.path:
                self.sent, self.moved_at, self.is_under_way = event.first + event.sent, at, False
            case events.TftpFinished() if event.path == self.path:
                self.sent, self.moved_at, self.is_under_way = event.total, at, False
            case events.WebBroken() | events.TftpFailed() | events.TftpAborted() if event.path == self.path:
                self.is_under_way = False

    def shift(self, seconds: float) -> None:
        """Move all times by *seconds*, because the clock was set."""
        for name in ("seen_at", "installing_at", "asked_config_at", "asked_api_at", "began_at", "moved_at"):
            at = getattr(self, name)
            setattr(self, name, at + seconds if at else 0.0)  # 0.0 is not known

    def _begin(self, what: str, path: str, first: int, total: int, at: float) -> None:
        self.what, self.path, self.sent, self.total = what, path, first, total
        self.began_at = self.moved_at = at
        self.is_under_way = True


def sent_by(event: Event) -> tuple[str, int]:
    """Return the kind of file of a transfer that ended and the bytes sent; ("", 0) for any other event."""
    match event:
        case events.WebFinished() | events.WebBroken():
            return event.what.value, event.sent
        case events.TftpFinished():
            return event.what.value, event.total
    return "", 0
