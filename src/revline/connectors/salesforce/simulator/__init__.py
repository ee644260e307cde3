"""A simulated Salesforce org: records, queries, change events and the ways they fail, for rehearsals, demos and tests.

It speaks the documented REST and streaming wire format on loopback; what is known from memory only is a setting of `Behaviour`.
"""

from revline.connectors.salesforce.simulator.org import Behaviour, Org
from revline.connectors.salesforce.simulator.server import SimulatedSalesforce
from revline.connectors.salesforce.simulator.story import quote_to_order

__all__ = ["Behaviour", "Org", "SimulatedSalesforce", "quote_to_order"]
