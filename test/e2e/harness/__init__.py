"""What the end-to-end tests stand on: the server as a child process, and clients over raw sockets.

The clients are strict on purpose. An answer that a lenient client would put up with (a header twice, a masked frame, a
length in a longer form than needed) fails the test that received it.

CARILLON_BIN and ECHO_SERVER_BIN name the programs, DISK_FAULTS_LIB and CLOCK_LEAP_LIB libraries for one of them.
CARILLON_SLOW=1, or a sanitizer named in CARILLON_SANITIZE, scales counts down and deadlines up.
"""

# flake8: noqa: F401
from . import disk
from .disk import Disk, all_events
from .settings import SANITIZED, SLOW, WAIT, scaled, program, clean_environment, until
from .secure import TLS, Secure, context, secured, server_flags
from .wire import Eof, Wire
from .http import TOKEN, ONLY_ONCE, Response, check_standing_headers, Http, in_chunks, problem
from .check import UUID4, STAMP, NOWHERE, check_event, check_hello
from .websocket import (
    CONT,
    TEXT,
    BINARY,
    CLOSE,
    PING,
    PONG,
    GUID,
    Refused,
    Closed,
    xor,
    frame,
    parse_extension,
    WebSocket,
    refused,
)
from .sse import SseEvent, Sse
from .process import REPORT, LISTENING, LIBC, PR_SET_PDEATHSIG, before_exec, Process, run
from .server import Server
from .socketio import Polling, Socket, created, event, join, joined, refused_as, split
from .team import Team
from .jwt import Pair, jwt, jwt_of_length
from .certificates import Authority
from .clock import DAY, Clock
from .handshakes import GET, answer, clients_context, dial, hup, replace
from .tape import Leak, Tape, canary
from .matrix import ADMIN, BOTH, CALLS, FRESH, Matrix, State, api_key, bearer, user
from .parties import ALL, Credential, PENS, Pen, SUBSCRIBERS, Subscriber, Tenant
from .spy import Spy
from .traffic import BIG, Traffic, check_refusal, is_ready
from .crowd import Crowd
from .flock import Flock, Publisher
from .line import Line
from .postgres import PASSWORD, Postgres, Wall
from .echo import INVALID, connect, still_fine
from .resources import RESOURCES
from .vanish import DEFLATE, HANDSHAKE, POST, STAGES, vanish
