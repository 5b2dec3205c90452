"""Every path of this version with the methods it answers besides OPTIONS."""


from .check import NOWHERE


RESOURCES = {
    "/events": {"GET", "HEAD", "POST"},
    "/api/events": {"GET", "HEAD", "POST"},
    "/api/v1/events": {"GET", "HEAD", "POST"},
    f"/events/{NOWHERE}": {"GET", "HEAD"},
    f"/api/events/{NOWHERE}": {"GET", "HEAD"},
    f"/api/v1/events/{NOWHERE}": {"GET", "HEAD"},
    "/events/stats": {"GET", "HEAD"},
    "/api/events/stats": {"GET", "HEAD"},
    "/api/v1/events/stats": {"GET", "HEAD"},
    "/api/v1/events/stream": {"GET", "HEAD"},
    "/ws": {"GET", "HEAD"},
    "/api/v1/ws": {"GET", "HEAD"},
    "/api/v1/tenants": {"GET", "HEAD"},
    "/api/health": {"GET", "HEAD"},
    "/health": {"GET", "HEAD"},
    "/api/v1/settings": {"GET", "HEAD"},
    "/livez": {"GET", "HEAD"},
    "/readyz": {"GET", "HEAD"},
    "/": {"GET", "HEAD"},
}
