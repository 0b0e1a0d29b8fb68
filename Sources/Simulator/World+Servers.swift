import Engine
import Primitives
import Session

/// The model PostgreSQL: a postmaster, and a session or a cancel request on every connection.
extension World {
    func open(_ server: ServerID, _ endpoint: Endpoint, on board: Board) {
        serverNumbers += 1
        hasOpened = true
        note("open", LinkID.server(server).packed, 0)
        say("  open \(LinkID.server(server).shown)")
        // One that the same list closes again is nobody's; so is one that carries a cancel request.
        let isSession =
            board.engine.servers.contains(server) && board.engine.servers[server].victim == nil
        let label = isSession ? label(of: board.engine.servers[server].pool, on: board) : nil
        countServer(of: label, 1)
        let request = OpenRequest(
            board: board, server: server, endpoint: endpoint, number: serverNumbers, pool: label)
        board.unopened.append(request)
        heap.add(.opened(request), at: clock + 50 + UInt64(random.below(max(1, scenario["connect_latency"]))))
    }

    func closeUnopened(_ link: LinkID, of board: Board) {
        guard case .server(let id) = link, let place = board.unopened.firstIndex(where: { $0.server == id })
        else {
            return found("O7 a dead link is dropped: \(link.shown)")
        }
        countServer(of: board.unopened.remove(at: place).pool, -1)
    }

    /// A link is gone, for good.
    func noteGone(_ cable: Cable) {
        if case .server(let server) = cable.far { countServer(of: server.pool, -1) }
    }

    func opened(_ request: OpenRequest) {
        let board = request.board
        guard let place = board.unopened.firstIndex(where: { $0.number == request.number }) else { return }
        board.unopened.remove(at: place)
        let fails =
            refusesConnections
            || !isCalm && scenario["connect_fails"] > 0 && random.below(100) < scenario["connect_fails"]
        if fails {
            countServer(of: request.pool, -1)
            note("refused", LinkID.server(request.server).packed, 0)
            say("connection of \(LinkID.server(request.server).shown) refused")
            return tell(board) { $0.serverFailed(request.server, .connect(111), now: $1, into: &$2) }
        }
        let seed = scenario.seed ^ UInt64(request.number &+ 5) &* 0xA24B_AED4_963E_E407
        let server = SimulatedServer(
            number: request.number, secretLength: scenario["long_keys"] > 0 ? 32 : 4,
            random: Random(seed: seed))
        let cable = Cable(
            link: .server(request.server), on: board, far: .server(server), random: Random(seed: seed ^ 3))
        server.cable = cable
        server.pool = request.pool
        server.phase = .startup
        server.backend.notesTokens = true
        servers.append(server)
        board.install(cable)
        let remote = SocketAddress(family: .ipv4, high: 0x0A00_0001 << 32, port: 5432)
        let local = SocketAddress(
            family: .ipv4, high: 0x7F00_0001 << 32, port: UInt16(truncatingIfNeeded: 50_000 + request.number))
        note("opened", cable.link.packed, 0)
        say("opened \(cable.link.shown)")
        tell(board) { $0.serverOpened(request.server, remote: remote, local: local, now: $1, into: &$2) }
    }

    func serverReads(_ server: SimulatedServer, _ bytes: Bytes) {
        switch server.phase {
        case .startup:
            server.startup.append(bytes)
            firstPacket(server)
        case .session:
            server.backend.input.append(bytes)
            goOn(server)
        case .authenticating:
            server.startup.append(bytes)
            passwordArrives(server)
        case .connecting, .greeting, .cancel, .ended: break
        }
    }

    private func firstPacket(_ server: SimulatedServer) {
        guard server.startup.count >= 8 else { return }
        let head = server.startup.take(server.startup.count)
        let length = Int(head.uint32(at: 0))
        guard head.count >= length else { return server.startup.append(head) }
        if head.uint32(at: 4) == 80_877_102 {
            server.phase = .cancel
            if !isCalm, scenario["cancel_hangs"] > 0, random.below(100) < scenario["cancel_hangs"] {
                return say("the cancel request hangs")
            }
            let late = UInt64(random.below(max(1, scenario["cancel_latency"])))
            return heap.add(.cancelHits(server), at: clock + late)
        }
        server.phase = .greeting
        var offset = 8
        while offset < length, head[offset] != 0 {
            let name = head.cString(at: offset)
            let value = head.cString(at: name.next)
            offset = value.next
            server.backend.settings.start(name.bytes, value.bytes)
            if name.bytes.text == "user" { server.user = value.bytes.text }
            if name.bytes.text == "database" { server.database = value.bytes.text }
        }
        heap.add(.welcome(server), at: clock + 100)
    }

    func welcome(_ server: SimulatedServer) {
        guard server.phase == .greeting, let cable = server.cable else { return }
        if !isCalm, scenario["login_fails"] > 0, random.below(100) < scenario["login_fails"] {
            let isStarting = random.below(2) == 0
            server.backend.fatal(
                isStarting ? "57P03" : "53300",
                isStarting ? "the database system is starting up" : "sorry, too many clients already")
            flush(server, cable)
            server.phase = .ended
            return endFar(cable, isReset: false)
        }
        if !isCalm, scenario["login_silent"] > 0, random.below(100) < scenario["login_silent"] {
            return say("server \(server.number) is silent")
        }
        if knobs.serverAuth == .none { greet(server, cable) } else { askPassword(server, cable) }
    }

    /// The pooler is in.
    func greet(_ server: SimulatedServer, _ cable: Cable) {
        server.phase = .session
        server.backend.output = greeting(of: server)
        server.backend.wantsFlush = true
        flush(server, cable)
    }

    func greeting(of server: SimulatedServer) -> Bytes {
        var out = Bytes()
        out.message("R") { $0.append(uint32: 0) }
        out.message("S") {
            $0.append(cString: "server_version")
            $0.append(cString: "18.1")
        }
        server.backend.settings.report(into: &out)
        out.message("K") {
            $0.append(uint32: server.processID)
            $0.append(contentsOf: server.secret)
        }
        out.message("Z") { $0.append(0x49) }
        return out
    }

    /// Does all that can be done now.
    func goOn(_ server: SimulatedServer) {
        guard let cable = server.cable, server.phase == .session else { return }
        loop: while !server.isBusy, verdict.finding == nil {
            switch server.backend.need {
            case .input: break loop
            case .ended:
                flush(server, cable)
                server.phase = .ended
                endFar(cable, isReset: false)
                break loop
            case .message:
                if server.owesSignal, server.backend.frontIsEmptyQuery { server.owesSignal = false }
                server.backend.takeMessage()
            case .statement(let span):
                if server.owesSignal {
                    obeyLateSignal(server)
                    continue
                }
                let slowness = isCalm ? 0 : knobs.slowness
                let cost = span + UInt64(slowness > 0 ? server.random.below(slowness) : 0)
                if cost == 0 {
                    server.backend.execute()
                    noteStarted(server)
                } else {
                    server.isBusy = true
                    server.busyNumber += 1
                    heap.add(.statementDone(server, server.busyNumber), at: clock + cost)
                }
            }
        }
        spread(server)
        if server.phase == .session, !spoils(server, cable) { flush(server, cable) }
        tell(server, cable)
    }

    /// Passes notifications on to the sessions that listen; outside a transaction, and that is now.
    private func spread(_ server: SimulatedServer) {
        guard !server.backend.notified.isEmpty, server.backend.status == 0x49 else { return }
        let notified = server.backend.notified
        server.backend.notified.removeAll()
        for other in servers where other.phase == .session && other.database == server.database {
            for (channel, token) in notified where other.backend.channels.contains(channel) {
                other.notes.message("A") {
                    $0.append(uint32: server.processID)
                    $0.append(cString: channel)
                    $0.append(cString: token)
                }
            }
            if other !== server, let cable = other.cable { tell(other, cable) }
        }
    }

    /// A session tells its client what others have notified it of, when it rests.
    private func tell(_ server: SimulatedServer, _ cable: Cable) {
        guard !server.notes.isEmpty, server.phase == .session, !server.isBusy else { return }
        // Whoever listens no more is told nothing more.
        if server.backend.channels.isEmpty { return server.notes.removeAll() }
        guard server.backend.status == 0x49, server.backend.output.isEmpty, server.backend.running.isEmpty,
            server.backend.copy == nil, !server.backend.hasOpenBatch
        else { return }
        say("server \(server.number) notifies")
        let notes = server.notes
        server.notes.removeAll()
        write(notes, on: cable)
    }

    func statementDone(_ server: SimulatedServer, _ number: UInt64) {
        guard server.isBusy, server.busyNumber == number, server.phase == .session else { return }
        server.isBusy = false
        server.backend.execute()
        noteStarted(server)
        goOn(server)
    }

    func flush(_ server: SimulatedServer, _ cable: Cable) {
        guard !server.backend.output.isEmpty, server.backend.mayFlush else { return }
        let bytes = server.backend.output
        server.backend.output.removeAll(keepingCapacity: true)
        say("server \(server.number) \(cable.link.shown) answers \(bytes.shown)")
        write(bytes, on: cable)
    }

    func serverSeesEnd(_ server: SimulatedServer) {
        server.phase = .ended
        server.isBusy = false
    }

    private func isLate(_ victim: SimulatedServer) -> Bool {
        !isCalm && knobs.lateSignals > 0 && random.below(knobs.lateSignals) == 0
    }

    private func obeyLateSignal(_ server: SimulatedServer) {
        server.owesSignal = false
        checkCancel(of: server)
        say("server \(server.number) is cancelled late")
        note("cancelled", UInt64(server.number), 1)
        server.backend.execute(cancelled: true)
        noteStarted(server)
    }

    /// A cancel request has found its way.
    func cancelHits(_ carrier: SimulatedServer) {
        guard carrier.phase == .cancel, let cable = carrier.cable else { return }
        if let victim = carrier.victim, victim.phase == .session, isLate(victim) {
            // PostgreSQL has sent the signal, and looks at it only after the statement that runs now.
            say("server \(victim.number) will be cancelled")
            victim.owesSignal = true
        } else if let victim = carrier.victim, victim.phase == .session, victim.isBusy {
            checkCancel(of: victim)
            say("server \(victim.number) is cancelled")
            note("cancelled", UInt64(victim.number), 0)
            victim.isBusy = false
            victim.backend.execute(cancelled: true)
            noteStarted(victim)
            goOn(victim)
        }
        carrier.phase = .ended
        endFar(cable, isReset: false)
    }
}
