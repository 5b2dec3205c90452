"""The soak: many tenants, publishers and subscribers over every transport, and faults drawn at random from a seed.

    ledger   what is known of one tenant: what was sent, answered, and seen at each seq
    lines    one way to listen, whatever the transport
    terms    what a tenant may, and what is kept of it
    claims   what somebody was told to be forgotten; a ledger's
    credentials   what a client shows: keys, and tokens, which end
    renewal  another token, over a connection that stays
    party    whoever takes part; every failure has to have a reason
    readers, pens, keepers   who listens; who publishes; who looks, and who administers
    faults   what is done to the server, and to connections
    successions   processes that take the server's place, or fail to; other secrets
    database   a PostgreSQL server, and what is done to it
    places   an own network and file system, where there may be
    life     one server process: its log, memory, descriptors, end
    world    what all share, and quiet moments in which everything is compared
    run      the whole
"""

# flake8: noqa: F401
from .run import Settings, run
