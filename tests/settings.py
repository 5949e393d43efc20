"""The settings of the tests: those of the portal, over the test cluster, as the app's database role.

Subprocesses that a test starts find the same servers, since everything is passed in the environment.
"""

import os

from tests import cluster

TEST_ENVIRONMENT = cluster.environment(cluster.main(), cluster.session_database())
os.environ.update(TEST_ENVIRONMENT)

from tests.served_settings import *  # noqa: E402, F403
