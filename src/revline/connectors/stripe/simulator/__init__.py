"""A simulated Stripe: the documented API as a state machine, a server for it on the loopback address, and faults on demand.

It keeps its own account from the calls it gets, so the official library talks to it unchanged. It knows nothing of Revline.
"""
