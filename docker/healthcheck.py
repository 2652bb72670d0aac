"""Ask the node beside us how it is; the exit code is Docker's: 0 healthy, 1 not."""

import os
import ssl
import sys
import urllib.error
import urllib.request

TIMEOUT_S = 4


def main() -> int:
    port = os.environ.get("GRIDKEEPER_API__PORT", "8420")
    certificate = os.environ.get("GRIDKEEPER_API__TLS_CERTIFICATE")
    url = f"{'https' if certificate else 'http'}://127.0.0.1:{port}/health"
    try:
        tls = trusting(certificate) if certificate else None
        with urllib.request.urlopen(url, timeout=TIMEOUT_S, context=tls):  # noqa: S310  # our own
            return 0
    except (urllib.error.URLError, OSError) as error:
        sys.stderr.write(f"{url}: {error}\n")
        return 1


def trusting(certificate: str) -> ssl.SSLContext:
    """Trust the node's own certificate, whoever signed it and whatever name it is for."""
    tls = ssl.create_default_context(cafile=certificate)
    tls.check_hostname = False
    tls.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    return tls


if __name__ == "__main__":
    sys.exit(main())
