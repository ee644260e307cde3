"""A simulated cloud ERP with books of its own, and the connector that speaks to it.

The two halves meet only in the API of docs/reference/simulated-erp.md: `wire` holds its bodies, `manifest`, `client`,
`translate` and `connector` are the Revline side; every other module is the ERP and knows nothing of Revline's documents.
"""
