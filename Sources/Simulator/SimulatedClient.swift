import Auth
import Crypto
import Primitives

/// An application: follows its script, and compares every answer with what an ideal server of its own would
/// say.
final class SimulatedClient {
    enum Phase {
        case notYet, loggingIn, running, awaiting, resting
        /// It has said Terminate.
        case parting
        case ended
    }

    var script: Scenario.ClientScript
    /// How it begins; whoever comes again begins as it should.
    let login: Scenario.Login
    /// Counts the connections that one script has been played on.
    let life: Int
    var random: Random
    var phase = Phase.notYet
    var cable: Cable?
    var place = 0
    /// Written by the script, not yet given to the network.
    var outbox = Bytes()
    /// Reads nothing until then.
    var deafUntil: UInt64 = 0
    var connectedAt: UInt64 = 0
    var hasTerminated = false
    /// Its last message was none.
    var hasBrokenFraming = false
    var hasAsked = false
    var processID: UInt32 = 0
    var secret = Bytes()

    /// Of a SCRAM exchange: what it has begun, what the pooler has to show, and that it has.
    var prover: ScramProver?
    var signature: Digest256?
    var hasProof = false

    // MARK: For the oracles

    var inbox = ByteQueue()
    var ideal = Backend()
    /// The part of the ideal's output that has been met already.
    var met = 0
    var greeting: [(Bytes, Bytes)] = []
    /// Requests with the right key for this client: how many were made, and how many have not ended.
    var cancelsAsked = 0
    /// A FATAL has come: nothing but the end may follow.
    var refusal: String?
    /// Since when it has stood in line, as a number that grows; 0 for not.
    var lineNumber: UInt64 = 0
    /// The instant of that.
    var lineAt: UInt64 = 0
    /// Tells its assignments to a server apart.
    var lastGrant: UInt64 = 0
    var answersMet = 0
    /// A hostile server has spoilt its answers: from here on only whose they are is checked.
    var isHarmed = false

    /// There is a `*` line.
    var takesAnyDatabase = false

    init(script: Scenario.ClientScript, random: Random, life: Int = 0, place: Int = 0) {
        self.script = script
        self.random = random
        self.life = life
        self.place = place
        login = life == 0 ? script.login : .plain
        for (name, value) in script.wishes { ideal.settings.start(Array(name.utf8), Array(value.utf8)) }
        var ignored = Bytes()
        ideal.settings.report(into: &ignored)
    }

    var number: Int { script.number }
    /// Nothing is left of its script, and nothing will be added.
    var isThrough: Bool { place >= script.steps.count && script.maker == nil }
    /// Talks to the console: what it says is not predicted, only that it says something to everything.
    var isAdmin: Bool { script.database == "pgbouncer" }
    var answersOwed = 0

    /// Everything asked has been answered, or the server waits for rows.
    var isSettled: Bool {
        if isAdmin { return answersOwed <= 0 }
        guard met == ideal.output.count else { return false }
        ideal.takeSilentMessages()
        return ideal.need == .input
    }

    /// An ideal server would have told it something by now; not when it never said Sync or Flush.
    var isOwed: Bool {
        if isAdmin { return answersOwed > 0 }
        if phase == .loggingIn { return true }
        var server = ideal
        server.wantsFlush = met < server.output.count
        while true {
            switch server.need {
            case .message: server.takeMessage()
            case .statement: server.execute()
            case .input, .ended: return server.wantsFlush || server.output.count > 8192
            }
        }
    }
}
