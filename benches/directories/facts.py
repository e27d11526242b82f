"""The facts: who has which role on which site."""

USERS = 200_000
SITES = 100_000
ROLES_OF_USER = 5
ROLES = ["owner", "admin", "editor", "viewer"]
# Sites that alice and bob may see.
OWN = 100
OWN_SITES = [f"site-{number * (SITES // OWN):07}" for number in range(OWN)]
TEAM_SITES = [f"site-{number * (SITES // OWN) + 1:07}" for number in range(OWN)]


def user(number):
    return f"user-{number:07}"


def role_of(user_number, nth):
    """The nth role of a user, and the site on which it is held."""
    number = user_number * ROLES_OF_USER + nth
    site = (user_number * 7_919 + nth * 31_337 + (user_number * nth) % 1_009) % SITES
    return ROLES[number % len(ROLES)], f"site-{site:07}"


def assignments(users=USERS):
    """Principal, role and site of the assignments of the first users, a million of all, and of alice's."""
    for number in range(users):
        for nth in range(ROLES_OF_USER):
            yield user(number), *role_of(number, nth)
    for site in OWN_SITES:
        yield "alice", "viewer", site


def questions(count):
    """Users, each with a site that they may see."""
    for number in range(count):
        user_number = number * (USERS // count)
        role, site = role_of(user_number, number % ROLES_OF_USER)
        yield user(user_number), role, site
