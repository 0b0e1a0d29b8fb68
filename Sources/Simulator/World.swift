import Auth
import Config
import Console
import Engine
import Primitives

/// What a run came to.
package struct Verdict {
    /// What was found wrong, with its oracle first; `nil` for nothing.
    package var finding: String?
    package var events = 0
    /// Of everything that happened: equal seeds have equal hashes, in any process.
    package var hash: UInt64 = 0xCBF2_9CE4_8422_2325
    package var answers = 0
    package var virtualMicroseconds: UInt64 = 0
}

/// Virtual time, a virtual network, a model PostgreSQL and scripted clients around the production engine.
///
/// The world tells the engine facts and carries out its actions, as the driver does (`Switchboard`,
/// `Action`); it looks into the engine only where an oracle says so. Verbs: `+Actions`, `+Network`,
/// `+Clients`, `+Servers`, `+Oracles`.
package final class World {
    let scenario: Scenario
    let permitted: Permitted
    let knobs: Knobs
    let passwords = Passwords()
    /// One of each worker; the first is the keeper's, and the only one when there is one worker.
    let boards: [Board]
    var keeper: Board { boards[0] }
    /// By sender and receiver.
    var mail: [MailRoute]
    /// The socket that came with the letter being dealt with, until somebody adopts it.
    var arrival: Cable?
    var actions = ActionList()
    /// The engine has asked for the end of the process.
    var hasExited = false
    var snapshot: Snapshot
    /// Microseconds since the start.
    var clock: UInt64 = 0
    var heap = EventHeap()
    var random: Random
    package var verdict = Verdict()
    /// Called with every line of the trace, when there is somebody who wants it.
    package var trace: ((String) -> Void)?
    var stopsAt = Int.max

    var clients: [SimulatedClient] = []
    /// Those that were gone before: each came again as the next.
    var formerClients: [SimulatedClient] = []
    var servers: [SimulatedServer] = []
    /// The list being carried out has asked for a connection.
    var hasOpened = false
    var followUps: [FollowUp] = []
    var touched: [Cable] = []
    /// Whose bytes the engine is being offered; what it will leave of them is not known yet.
    var beingRead: Cable?
    /// It changed hands meanwhile.
    var wasHandedOver = false
    /// Faults are over; everything must heal.
    var isCalm = false
    var refusesConnections = false
    /// SIGINT has come: the process is to end when every server is free.
    var isEnding = false
    /// The same or SIGTERM has; and once more, which ends it at once.
    var isToldToEnd = false
    var isToldTwice = false
    var host: ByteString = "10.0.0.1"
    var hasTwo = true
    /// When the faults stopped.
    var calmedAt: UInt64?
    /// When something last arrived at the engine; when nothing has for long, somebody gives up.
    var movedAt: UInt64 = 0
    /// Of the deeds that wait for a number of events: the next.
    var nextDeed = 0
    var startedTokens: Set<Bytes> = []
    var lineNumbers: UInt64 = 0
    /// When an order was given, or time stood still: order among workers begins anew.
    var disturbedAt: UInt64 = 0
    /// Open connections to PostgreSQL, those being opened and those on their way included.
    var sessions: [PoolLabel: Int] = [:]
    var serverNumbers = 0
    /// What hostile servers have said, and to whose server.
    var evilDeeds = 0
    var evilVictims: [Int] = []
    var askers: [(asker: CancelAsker, cable: Cable)] = []

    /// What is to be done when the list being carried out has come to its end.
    enum FollowUp {
        case congested(Cable)
        case offer(Cable)
        case broken(Cable)
        case reload(ClientID?)
    }

    package init(_ scenario: Scenario) {
        self.scenario = scenario
        permitted = Permitted(scenario)
        knobs = Knobs(scenario)
        random = Random(seed: scenario.seed ^ 0x5157_0A1D)
        snapshot = scenario.snapshot(poolSize: scenario["pool_size"])
        let facts = ProcessFacts(
            userID: 1, listenPort: 6432, version: "pglido simulated", startSeconds: 1_700_000_000,
            startInstant: World.start)
        let count = max(1, scenario["workers"])
        var source: any Entropy = Random(seed: scenario.seed ^ 0x1257)
        let instance = Switchboard.Instance.random(&source)
        let snapshot = snapshot
        boards = (0..<count).map { index in
            let entropy = Random(seed: scenario.seed ^ 0xE47 ^ UInt64(index) &* 0x9E37_79B9_7F4A_7C15)
            let crew = count == 1 ? Crew.alone : Crew(me: WorkerID(index: UInt8(index)), count: count)
            return Board(
                Switchboard(
                    snapshot: snapshot, process: facts, entropy: entropy, crew: crew,
                    instance: count == 1 ? nil : instance, now: World.start))
        }
        mail = Array(repeating: MailRoute(), count: count * count)
    }

    /// The engine's clock does not start at zero.
    static let start = Instant(nanoseconds: 1_000_000_000)
    var now: Instant { Instant(nanoseconds: World.start.nanoseconds + clock * 1000) }

    // MARK: The run

    package func run(until limit: Int = .max) {
        stopsAt = limit
        for script in scenario.clients {
            let seed = scenario.seed ^ (UInt64(script.number + 1) &* 0x9E37_79B9)
            let client = SimulatedClient(script: script, random: Random(seed: seed))
            client.takesAnyDatabase = scenario["many_pools"] > 0
            clients.append(client)
            heap.add(.connect(client), at: UInt64(script.startsAt))
        }
        if knobs.events == 0 {
            for deed in scenario.deeds { heap.add(.deed(deed.what), at: UInt64(deed.at)) }
        }
        heap.add(.calm, at: UInt64(scenario["calm_at"]))
        while verdict.finding == nil, verdict.events < stopsAt, clock < horizon, !hasExited, step() {
            if knobs.events > 0, !isCalm { followEvents() }
        }
        if verdict.finding == nil, verdict.events < stopsAt, !hasExited { checkLiveness() }
        verdict.virtualMicroseconds = clock
        letGo()
    }

    /// Long after calm: what has not healed by then never will.
    private var horizon: UInt64 { calmedAt.map { $0 + UInt64(knobs.patience) } ?? .max }

    /// Deeds, and the end of the faults, that wait for a number of events, not for an instant.
    private func followEvents() {
        while nextDeed < scenario.deeds.count, scenario.deeds[nextDeed].at <= verdict.events {
            nextDeed += 1
            perform(scenario.deeds[nextDeed - 1].what)
        }
        if verdict.events >= knobs.events { calm() }
        if clock > movedAt + World.patienceOfApplications { giveUp() }
    }

    private static let patienceOfApplications: UInt64 = 2_000_000

    /// Nothing moves: applications and operators have timeouts of their own.
    private func giveUp() {
        movedAt = clock
        let waiting = clients.filter {
            $0.phase == .awaiting || $0.phase == .loggingIn || $0.phase == .parting
        }
        if waiting.isEmpty || random.below(4) == 0 { perform(.resume) }
        if !waiting.isEmpty { leave(waiting[random.below(waiting.count)]) }
    }

    /// What has been done so far, with every script as far as it has been written: replays this very run.
    package var played: Scenario {
        var played = scenario
        for index in clients.indices where index < played.clients.count {
            played.clients[index].steps = clients[index].script.steps
            played.clients[index].maker = nil
        }
        return played
    }

    private func step() -> Bool {
        var board = keeper
        var earliest = board.engine.nextDeadline
        for other in boards.dropFirst() {
            guard let deadline = other.engine.nextDeadline, earliest.map({ deadline < $0 }) ?? true else {
                continue
            }
            earliest = deadline
            board = other
        }
        let deadline = earliest.map { ($0.nanoseconds - World.start.nanoseconds + 999) / 1000 }
        let event = heap.nextAt
        if let deadline, event == nil || deadline <= event! {
            let late = isCalm || knobs.lateTimers == 0 ? 0 : UInt64(random.below(knobs.lateTimers))
            clock = max(clock, deadline + late)
            note("deadline", 0, 0)
            tell(board) { $0.deadlinePassed(now: $1, into: &$2) }
            return true
        }
        guard let (at, next) = heap.takeFirst() else { return false }
        clock = max(clock, at)
        happen(next)
        return true
    }

    private func happen(_ event: EventHeap.Event) {
        switch event {
        case .connect(let client): connect(client)
        case .arrive(let cable, let count): arrive(cable, count)
        case .arriveEnd(let cable, let isReset): arriveEnd(cable, isReset: isReset)
        case .peerRead(let cable): peerReads(cable)
        case .offer(let cable): offer(cable)
        case .wake(let client): wake(client)
        case .leave(let client): leave(client)
        case .letter(let place): letterArrives(place)
        case .statementDone(let server, let number): statementDone(server, number)
        case .opened(let request): opened(request)
        case .welcome(let server): welcome(server)
        case .cancel(let client, let rightKey, let waits):
            askCancel(of: client, rightKey: rightKey, waits: waits)
        case .cancelHits(let server): cancelHits(server)
        case .deed(let what): if !isCalm { perform(what) }
        case .calm: calm()
        }
    }

    /// Tells the engine a fact and carries out what it wants.
    func tell(_ board: Board, _ fact: (inout Switchboard, Instant, inout ActionList) -> Void) {
        verdict.events += 1
        actions.removeAll()
        fact(&board.engine, now, &actions)
        carryOut(on: board)
        finishEvent(on: board)
    }

    /// Cuts the cycles of references, so that the world goes.
    private func letGo() {
        for client in clients { client.cable = nil }
        for client in formerClients { client.cable = nil }
        for server in servers {
            server.cable = nil
            server.victim = nil
            server.owner = nil
        }
        heap = EventHeap()
        for board in boards { board.letGo() }
        mail = []
        followUps.removeAll()
    }

    // MARK: Notes

    func found(_ text: String) {
        guard verdict.finding == nil else { return }
        verdict.finding = text
        if trace != nil { say("FOUND \(text)") }
    }

    func say(_ text: @autoclosure () -> String) {
        if let trace { trace("\(verdict.events) \(clock)us \(text())") }
    }

    /// One happening, into the hash and the trace.
    @inline(__always)
    func note(_ what: StaticString, _ a: UInt64, _ b: UInt64) {
        mix(UInt64(what.utf8CodeUnitCount) << 32 ^ UInt64(what.utf8Start.pointee))
        mix(clock)
        mix(a)
        mix(b)
    }

    @inline(__always)
    func mix(_ value: UInt64) {
        verdict.hash = (verdict.hash ^ value) &* 0x0000_0100_0000_01B3 &+ (verdict.hash >> 29)
    }

    func mix(_ view: ByteView) {
        var offset = 0
        while offset + 8 <= view.count {
            mix(view.base.loadUnaligned(fromByteOffset: offset, as: UInt64.self))
            offset += 8
        }
        while let byte = view[offset] {
            mix(UInt64(byte))
            offset += 1
        }
    }
}
