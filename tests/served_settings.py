"""Settings of the processes that tests start: the portal's, with passwords hashed as the tests hash them."""

from portal.settings import *  # noqa: F403

# The real hasher costs a fifth of a second for each sign-in; the tests of sign-in itself name it.
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
# WhiteNoise warns of a folder that no collectstatic has made yet, and warnings are errors here.
STATIC_ROOT.mkdir(parents=True, exist_ok=True)  # noqa: F405
