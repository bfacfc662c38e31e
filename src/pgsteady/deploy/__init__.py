"""The production path of an upgrade: proved before, watched meanwhile, proved after."""

from pgsteady.deploy.report import Died, Outcome, Report
from pgsteady.deploy.retrying import Retries
from pgsteady.deploy.run import Order, upgrade
from pgsteady.deploy.watch import Limits

__all__ = ["Died", "Limits", "Order", "Outcome", "Report", "Retries", "upgrade"]
