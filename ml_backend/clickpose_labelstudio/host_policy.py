"""Which hosts and addresses may be asked for an image; the rules stand in :mod:`.fetching`."""

from __future__ import annotations

import ipaddress
import re
from urllib.parse import unquote, urlsplit

from clickpose_labelstudio.label_studio_auth import origin_of
from clickpose_labelstudio.ports import ImageError

# Where Label Studio serves task data; the API key opens much more than these.
DATA_PATHS = re.compile(r"/(data/|storage-data/|(tasks|projects)/\d+/(resolve|presign)/)")
# Where clouds hand out credentials, besides the link-local addresses: AWS, Google, Alibaba, Azure.
METADATA_ADDRESSES = frozenset(
    map(ipaddress.ip_address, ("fd00:ec2::254", "fd20:ce::254", "100.100.100.200", "168.63.129.16"))
)
NAT64 = ipaddress.ip_network("64:ff9b::/96")

IpAddress = ipaddress.IPv4Address | ipaddress.IPv6Address


class HostPolicy:
    """Decides which hosts and addresses may be asked for an image.

    Args:
        label_studio_url: origin that is always allowed.
        allowed_hosts: ``"host"``, ``"host:port"``, an IP address (IPv6 in brackets where a port follows), or
            ``"*.example.org"``.
    """

    def __init__(self, label_studio_url: str, allowed_hosts: tuple[str, ...]):
        self._label_studio_origin = origin_of(label_studio_url)
        self._label_studio_path = urlsplit(label_studio_url).path.rstrip("/")
        self._names = {_without_brackets(host) for host in allowed_hosts if not host.startswith("*.")}
        self._suffixes = tuple(host[1:] for host in allowed_hosts if host.startswith("*."))

    def is_label_studio(self, url: str) -> bool:
        """Tell whether a URL is of Label Studio's origin (scheme, host and port)."""
        return origin_of(url) == self._label_studio_origin

    def check_url(self, url: str) -> None:
        """Refuse a URL that is not http(s), names a user, or is of a host that is not allowed.

        Raises:
            ImageError: saying which host to allow.
        """
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ImageError("Expected an http or https address with a host")
        if "@" in parts.netloc:
            raise ImageError("Expected an image address without a user name in it")
        if self.is_label_studio(url):
            path = unquote(parts.path).removeprefix(self._label_studio_path)
            if not DATA_PATHS.match(path) or ".." in path.split("/"):
                raise ImageError("Expected an address where Label Studio serves task data, such as /data/upload/…")
            return
        _, host, port = origin_of(url)
        if not ({host, f"{host}:{port}"} & self._names or host.endswith(self._suffixes)):
            raise ImageError(f"Host {host} is not allowed; an operator can allow it with --allow-host {host}")

    def allows_address(self, host: str, port: int, address: str) -> bool:
        """Tell whether ``host``, already allowed by name, may live at an IP address."""
        host = host.rstrip(".").lower()
        if (host, port) == self._label_studio_origin[1:]:
            return True
        ip = _embedded_ipv4(ipaddress.ip_address(address.split("%")[0]))
        if not {host, f"{host}:{port}"} & self._names:
            return ip.is_global and not ip.is_multicast and ip not in METADATA_ADDRESSES
        reserved = ip.is_link_local or ip.is_multicast or ip.is_unspecified or ip in METADATA_ADDRESSES
        return _is_ip_address(host) or not reserved


def _embedded_ipv4(ip: IpAddress) -> IpAddress:
    """Return the IPv4 address that an IPv6 one stands for (mapped, 6to4, NAT64), else the address itself."""
    if ip.version == 4:
        return ip
    if ip in NAT64:
        return ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
    return ip.ipv4_mapped or ip.sixtofour or ip


def _without_brackets(host: str) -> str:
    return re.sub(r"^\[([0-9a-f:]+)\]", r"\1", host)


def _is_ip_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
