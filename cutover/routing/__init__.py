"""The routing facade: ownership is published, a proxy brings requests to the owning side. It is never the fence."""
