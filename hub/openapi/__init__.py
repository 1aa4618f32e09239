"""The document that describes the API, made from what is declared: routes, resources, bodies, refusals."""
