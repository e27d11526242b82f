"""Who may do what with a report, as it grows in a backend."""

CAN = {"view": {"owner", "editor", "viewer"}, "edit": {"owner", "editor"}, "delete": {"owner"}}


def may(user, action, report):
    if user["tenant"] != report["tenant"]:
        return False
    if report.get("archived") and action in ("edit", "delete"):
        return False
    return report["members"].get(user["id"]) in CAN[action]
