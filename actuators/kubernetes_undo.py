"""Which revision of a Deployment to go back to: pure functions on the API's objects.

A release goes by any of these names: the template's label `app.kubernetes.io/version` (or another, as
configured), a container's image tag, a container's whole image.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from actuators.errors import Refused

Object = Mapping[str, Any]

_REVISION = "deployment.kubernetes.io/revision"
_HASH = "pod-template-hash"  # set by the Deployment's controller on its ReplicaSets, never by people


def release_names(template: Object, label: str) -> list[str]:
    """The names that a pod template's release goes by, the most telling first."""
    names = []
    labels = template.get("metadata", {}).get("labels") or {}
    if label in labels:
        names.append(labels[label])
    for container in template.get("spec", {}).get("containers", []):
        image = container.get("image", "")
        _, colon, tag = image.partition("@")[0].rpartition(":")  # a digest is no name
        if colon and "/" not in tag:  # else the colon is that of a registry's port
            names.append(tag)
        names.append(image)
    return names


def revision(replica_set: Object) -> int:
    """The rollout's number of a ReplicaSet, 0 where it has none."""
    text = (replica_set["metadata"].get("annotations") or {}).get(_REVISION, "0")
    return int(text) if text.isdigit() else 0


def owned(replica_sets: Sequence[Object], deployment: Object) -> list[Object]:
    """Those that the Deployment controls, the newest revision first."""
    uid = deployment["metadata"]["uid"]
    mine = [
        each
        for each in replica_sets
        if any(owner["uid"] == uid for owner in each["metadata"].get("ownerReferences") or [])
    ]
    return sorted(mine, key=revision, reverse=True)


def choose(history: Sequence[Object], release: str, to: str | None, label: str) -> Object:
    """The newest revision that is not `release`, and is `to` where that is given.

    Raises:
        Refused: there is none; the text lists those there are.
    """
    known = []
    for replica_set in history:
        names = release_names(replica_set["spec"]["template"], label)
        if release not in names and (to is None or to in names):
            return replica_set
        known.append(f"{revision(replica_set)} ({', '.join(names) or 'unnamed'})")
    wanted = to or f"before {release}"
    raise Refused(f"no revision of release {wanted} is left; there are {'; '.join(known) or 'none'}")


def undo_patch(deployment: Object, replica_set: Object) -> list[dict[str, Any]]:
    """The JSON patch (RFC 6902) that puts the template back; it conflicts where someone was faster."""
    template = dict(replica_set["spec"]["template"])
    metadata = dict(template.get("metadata", {}))
    metadata["labels"] = {
        name: text for name, text in (metadata.get("labels") or {}).items() if name != _HASH
    }
    template["metadata"] = metadata
    version = deployment["metadata"]["resourceVersion"]
    return [
        {"op": "replace", "path": "/metadata/resourceVersion", "value": version},
        {"op": "replace", "path": "/spec/template", "value": template},
    ]
