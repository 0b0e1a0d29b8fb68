import Primitives

/// One connection that the engine has opened: a session of the model PostgreSQL, or a cancel request.
final class SimulatedServer {
    enum Phase { case connecting, startup, greeting, session, cancel, ended }

    let number: Int
    let processID: UInt32
    let secret: Bytes
    let id: ServerID
    var cable: Cable?
    var phase = Phase.connecting
    var backend = Backend()
    var startup = ByteQueue()
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

    init(number: Int, id: ServerID, secretLength: Int, random: Random) {
        self.number = number
        self.id = id
        self.random = random
        processID = UInt32(1000 + number)
        var random = random
        secret = random.bytes(secretLength)
    }
}

/// A connection asked for by `.open` that has not been made yet.
struct OpenRequest {
    let server: ServerID
    let endpoint: Endpoint
    let number: Int
}
