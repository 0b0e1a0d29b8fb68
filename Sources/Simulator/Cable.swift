import Engine
import Primitives

/// One connection of the virtual network, with both of its directions: what the kernel would hold for a
/// socket.
final class Cable {
    enum Far {
        case client(SimulatedClient)
        case server(SimulatedServer)
        case asker(CancelAsker)
    }

    /// What the engine of `board` calls it.
    var link: LinkID
    var board: Board
    /// It is on its way from one switchboard to another, with a letter.
    var isTravelling = false
    /// When its last journey ended.
    var adoptedAt: UInt64 = 0
    let far: Far
    var random: Random

    // MARK: Towards the engine

    /// Written by the peer, on its way.
    var inFlight = ByteQueue()
    /// Here: at its front what the engine has been offered and has not used.
    var arrived = ByteQueue()
    /// So much of it the driver has read, and the engine has left.
    var kept = 0
    var isPaused = false
    /// The peer's end has arrived behind its bytes.
    var end: LinkEnd?
    var endIsOnItsWay = false
    var lastArrival: UInt64 = 0
    /// The peer has written its last byte.
    var farIsGone = false

    // MARK: From the engine

    var outgoing = ByteQueue()
    var framing = Framing()
    /// The engine has been offered something of it.
    var wasOffered = false
    var isCongested = false
    var peerReadIsDue = false
    /// The engine knows it: its handle is alive.
    var isOpen = true
    /// Closed by the engine; the peer hears of it behind what is outgoing.
    var isClosing = false
    var wasDropped = false
    var farHasHeardOfEnd = false
    /// It is to be offered what it keeps when the list has come to its end.
    var isOffering = false

    init(link: LinkID, on board: Board, far: Far, random: Random) {
        self.link = link
        self.board = board
        self.far = far
        self.random = random
    }
}

/// A connection that carries one CancelRequest of an application.
final class CancelAsker {
    let target: SimulatedClient
    let isRight: Bool
    let waits: Bool
    var wasEnded = false
    /// Whom the request went for, when the engine had read it and did not close at once.
    var server: SimulatedServer?
    init(target: SimulatedClient, isRight: Bool, waits: Bool) {
        self.target = target
        self.isRight = isRight
        self.waits = waits
    }
}
