"""python-tuf against our repository: python tuf_client.py SERVER FIRST_ROOT TARGET FOLDER. Prints the sha256 of what it verified."""

import hashlib
import pathlib
import sys
import urllib.request

from tuf.ngclient import FetcherInterface, Updater
from tuf.api.exceptions import DownloadHTTPError


class Fetcher(FetcherInterface):
    """The standard library's HTTP, which takes the CA from SSL_CERT_FILE."""

    def _fetch(self, url):
        try:
            with urllib.request.urlopen(url) as response:
                while chunk := response.read(65536):
                    yield chunk
        except urllib.error.HTTPError as error:
            raise DownloadHTTPError(str(error), error.code) from error


server, root, target, folder = sys.argv[1:]
metadata = pathlib.Path(folder, "metadata")
targets = pathlib.Path(folder, "targets")
metadata.mkdir(parents=True)
targets.mkdir()
updater = Updater(
    metadata_dir=str(metadata),
    metadata_base_url=f"{server}/tuf/",
    target_base_url=f"{server}/tuf/targets/",
    target_dir=str(targets),
    fetcher=Fetcher(),
    bootstrap=pathlib.Path(root).read_bytes(),
)
updater.refresh()
info = updater.get_targetinfo(target)
assert info is not None, "the target is not listed"
path = updater.download_target(info)
print(hashlib.sha256(pathlib.Path(path).read_bytes()).hexdigest())
