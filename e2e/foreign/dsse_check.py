"""securesystemslib against our DSSE envelopes: python dsse_check.py SERVER TOKEN_FILE PACKAGE VERSION PUBLISHER OPERATOR.

Reads every envelope the registry serves and verifies each with the key that must have signed it; what was changed by one
byte, or is looked at with another key, must not verify. Prints a line for each envelope: its kind and payload type.
"""

import base64
import json
import pathlib
import sys
import urllib.request

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from securesystemslib.dsse import Envelope
from securesystemslib.exceptions import VerificationError
from securesystemslib.signer import SSlibKey

server, token_file, package, version, publisher, operator = sys.argv[1:]
token = pathlib.Path(token_file).read_text().strip()


def key(text):
    """Our line of text to a key of theirs, whose id they compute themselves."""
    raw = base64.b64decode(text.removeprefix("skep-ed25519:"))
    return SSlibKey.from_crypto(Ed25519PublicKey.from_public_bytes(raw))


def get(path):
    request = urllib.request.Request(server + path, headers={"Authorization": f"Bearer {token}"})
    with urllib.request.urlopen(request) as answer:
        return answer.read()


def refused(envelope, keys):
    try:
        envelope.verify(keys, 1)
    except VerificationError:
        return True
    return False


def check(kind, envelope, signer, stranger):
    read = Envelope.from_dict(json.loads(envelope))
    read.verify([signer], 1)
    assert refused(read, [stranger]), f"{kind}: a stranger's key verifies it"
    read.payload = bytes([read.payload[0] ^ 1]) + read.payload[1:]
    assert refused(read, [signer]), f"{kind}: other bytes verify"
    other = Envelope.from_dict(json.loads(envelope))
    other.payload_type += "x"
    assert refused(other, [signer]), f"{kind}: another type verifies"
    print(kind, json.loads(envelope)["payloadType"])


publisher, operator = key(publisher), key(operator)
listed = json.loads(get(f"/v1/packages/{package}/{version}/attestations"))["attestations"]
for attestation in listed:
    if attestation["media_type"] == "application/vnd.dsse.envelope.v1+json":
        content = get(f"/v2/{package}/blobs/{attestation['content']}")
        check("attestation", content, publisher, operator)
for policy in json.loads(get("/v1/policies"))["policies"]:
    check("policy", base64.b64decode(policy["envelope"]), operator, publisher)
check("set", base64.b64decode(json.loads(get("/v1/policy-set"))["set"]["envelope"]), operator, publisher)
for approval in json.loads(get("/v1/approvals"))["approvals"]:
    check("approval", base64.b64decode(approval["envelope"]), operator, publisher)
for revocation in json.loads(get("/v1/revocations"))["revocations"]:
    signer, stranger = (publisher, operator) if "lifts" not in revocation else (operator, publisher)
    check("lift" if "lifts" in revocation else "revocation", base64.b64decode(revocation["envelope"]), signer, stranger)
