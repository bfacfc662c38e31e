"""The production path of an upgrade: proved before, watched meanwhile, proved after."""

from pgsteady.deploy.order import Order
from pgsteady.deploy.report import Died, Outcome, Report
from pgsteady.deploy.retrying import Retries
from pgsteady.deploy.run import upgrade
from pgsteady.deploy.watch import Limits

__all__ = ["Died", "Limits", "Order", "Outcome", "Report", "Retries", "upgrade"]
