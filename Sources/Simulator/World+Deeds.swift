import Config
import Engine
import Primitives
import Session

/// What operators and fate do.
extension World {
    func perform(_ what: Scenario.Deed.What) {
        note("deed", UInt64(what.rawValue.utf8.count), 0)
        say("deed \(what)")
        switch what {
        case .killServer:
            guard let (server, cable) = anySession() else { return }
            say("server \(server.number) dies")
            server.phase = .ended
            server.isBusy = false
            endFar(cable, isReset: random.below(2) == 0)
        case .shutDownServer:
            guard let (server, cable) = anySession() else { return }
            say("server \(server.number) is shut down")
            server.isBusy = false
            server.backend.fatal("57P01", "terminating connection due to administrator command")
            flush(server, cable)
            server.phase = .ended
            endFar(cable, isReset: false)
        case .pause:
            tell(keeper) { $0.signalled(.pause, now: $1, into: &$2) }
            endLater(.resume)
        case .resume: tell(keeper) { $0.signalled(.resume, now: $1, into: &$2) }
        case .reconnect: tell(keeper) { $0.reconnect(nil, now: $1, into: &$2) }
        case .killClient: killClient()
        case .reload:
            let new = newSnapshot()
            tell(keeper) { $0.reloaded(new, for: nil, now: $1, into: &$2) }
        case .killDatabase:
            guard let database = keeper.engine.database(named: "one") else { return }
            tell(keeper) { $0.kill(database, because: .killed, now: $1, into: &$2) }
            heap.add(.deed(.resume), at: clock + 100_000)
        case .remark:
            guard let (server, cable) = anySession() else { return }
            remark(server, cable)
        case .moveHost:
            host = host == "10.0.0.1" ? "10.0.0.2" : "10.0.0.1"
            let new = newSnapshot()
            tell(keeper) { $0.reloaded(new, for: nil, now: $1, into: &$2) }
        case .removeDatabase:
            hasTwo = false
            let new = newSnapshot()
            tell(keeper) { $0.reloaded(new, for: nil, now: $1, into: &$2) }
        case .freeze:
            clock += 60_000_000
            disturbedAt = clock
        case .endWithClients:
            isToldToEnd = true
            tell(keeper) { $0.signalled(.shutdownWaitForClients, now: $1, into: &$2) }
        case .endWithServers:
            isToldTwice = isToldToEnd
            isEnding = true
            isToldToEnd = true
            tell(keeper) { $0.signalled(.shutdownWaitForServers, now: $1, into: &$2) }
        case .refuseConnections:
            refusesConnections = true
            endLater(.acceptConnections)
        case .acceptConnections: refusesConnections = false
        }
    }

    /// What was begun ends by itself; in scripts that count microseconds a deed of its own says when.
    private func endLater(_ what: Scenario.Deed.What) {
        guard knobs.events > 0 else { return }
        heap.add(.deed(what), at: clock + UInt64(random.below(300_000)))
    }

    func newSnapshot() -> Snapshot {
        snapshot = scenario.snapshot(
            poolSize: max(1, scenario["pool_size_later"]), host: host, hasTwo: hasTwo)
        return snapshot
    }

    /// A notice, a notification or a changed parameter between two answers.
    private func remark(_ server: SimulatedServer, _ cable: Cable) {
        guard server.backend.output.isEmpty, server.seat != nil else { return }
        evilDeeds += 1
        // Whoever has the server when it arrives.
        evilVictims.append(Hostility.anybody)
        let token = "~\(Hostility.nobody).\(evilDeeds)~"
        say("server \(server.number) says \(token)")
        var out = Bytes()
        if random.below(2) == 0 {
            out = Hostility.extraNotice.spoil([], token).bytes
        } else {
            out = Hostility.extraNotification.spoil([], token).bytes
        }
        write(out, on: cable)
    }

    private func anySession() -> (SimulatedServer, Cable)? {
        let sessions = servers.filter { $0.phase == .session && $0.cable?.isOpen == true }
        guard !sessions.isEmpty else { return nil }
        let server = sessions[random.below(sessions.count)]
        return server.cable.map { (server, $0) }
    }

    private func killClient() {
        let logged = clients.filter { $0.cable?.isOpen == true }
        guard !logged.isEmpty, let cable = logged[random.below(logged.count)].cable, !cable.isTravelling,
            case .client(let id) = cable.link
        else { return }
        tell(cable.board) { $0.kill(id, now: $1, into: &$2) }
    }

    /// Faults stop: from here on everything must heal.
    func calm() {
        say("calm")
        // Once more a little later: a PAUSE may have been on its way.
        if !isCalm {
            heap.add(.calm, at: clock + 2_000_000)
            calmedAt = clock
        }
        isCalm = true
        refusesConnections = false
        for client in clients where client.isAdmin { leave(client) }
        if isEnding { return }
        tell(keeper) { $0.resume(nil, now: $1, into: &$2) }
        // Those that only `*` covers can be killed, too.
        for database in keeper.engine.databaseIDs {
            tell(keeper) { engine, now, actions in
                engine.setDisabled(database, false, into: &actions)
                engine.resume(database, now: now, into: &actions)
            }
        }
    }
}
