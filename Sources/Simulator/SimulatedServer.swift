import Engine
import Primitives
import Session

/// One connection that the engine has opened: a session of the model PostgreSQL, or a cancel request.
final class SimulatedServer {
    enum Phase { case connecting, startup, greeting, authenticating, session, cancel, ended }

    let number: Int
    let processID: UInt32
    let secret: Bytes
    var cable: Cable?
    /// Which pool it was opened for; `nil` for one that carries a cancel request.
    var pool: PoolLabel?
    var phase = Phase.connecting
    var backend = Backend()
    var startup = ByteQueue()
    var exchange = ServerExchange()
    var random: Random
    var user = ""
    var database = ""
    /// Notifications that wait for the end of its transaction.
    var notes = Bytes()
    /// A statement runs until the event of this number.
    var isBusy = false
    var busyNumber: UInt64 = 0

    // MARK: For the oracles

    /// The client whose bytes came last, or `nil` for nobody.
    var owner: SimulatedClient?
    /// The signal of a cancel request that has found its way is still to act: whatever runs next is hit.
    var owesSignal = false
    /// The last query of the pooler's own only set parameters, which may go together with the next client's
    /// bytes.
    var isBeingPrepared = false
    /// Cancel requests that are on their way to it.
    var cancelsUnderWay = 0
    /// For a carrier: whom its request is for.
    var victim: SimulatedServer?

    init(number: Int, secretLength: Int, random: Random) {
        self.number = number
        self.random = random
        processID = UInt32(1000 + number)
        var random = random
        secret = random.bytes(secretLength)
    }
}

extension SimulatedServer {
    /// The engine that has it, and what it calls it; `nil` while none does.
    var seat: (board: Board, id: ServerID)? {
        guard let cable, cable.isOpen, !cable.isTravelling, case .server(let id) = cable.link,
            cable.board.engine.servers.contains(id)
        else { return nil }
        return (cable.board, id)
    }

    /// Whose it is, as that engine believes.
    var client: (board: Board, id: ClientID)? {
        guard let (board, id) = seat, let client = board.engine.servers[id].client else { return nil }
        return (board, client)
    }
}

/// A connection asked for by `.open` that has not been made yet.
struct OpenRequest {
    let board: Board
    let server: ServerID
    let endpoint: Endpoint
    let number: Int
    let pool: PoolLabel?
}
