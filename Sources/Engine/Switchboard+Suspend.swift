import Config
import Pool
public import Primitives
import Session

/// SUSPEND: every link but the console's is left unread, and what was to be written is written. Nothing is
/// closed and nothing is lost; RESUME goes on where it stopped.
extension Switchboard {
    /// The answer comes as console news when nothing is left to be written.
    public mutating func suspend(for console: ClientID?, now: Instant, into actions: inout ActionList) {
        mode = .suspended
        suspendedAt = now
        suspensionCount &+= 1
        broadcast(.suspend(suspensionCount), into: &actions)
        for client in clientIDs where clients[client].phase != .console && !isProvingItself(client) {
            hold(client, .suspension, into: &actions)
        }
        for server in serverIDs where servers.contains(server) {
            switch roster.state(server) {
            case .active, .idle: hold(server, .suspension, into: &actions)
            case .opening, .testing:
                // Nobody waits for what these do, except for the outcome: it is done again afterwards.
                closeServer(
                    server, because: "close unsafe file descriptors on suspend", now: now, into: &actions)
            case .cancelling, nil: break
            }
        }
        if let console { consoleWaits.append((console, .suspend)) }
        endWaits(now: now, into: &actions)
    }

    /// Everything is read again.
    mutating func liftSuspension(into actions: inout ActionList) {
        answerSuspension(into: &actions)
        for client in clientIDs { unhold(client, .suspension, into: &actions) }
        for server in serverIDs { unhold(server, .suspension, into: &actions) }
    }

    /// At a mate: the keeper waits for this.
    mutating func answerSuspension(into actions: inout ActionList) {
        guard let number = unansweredSuspension else { return }
        unansweredSuspension = nil
        post(.flushed(number), to: .keeper, into: &actions)
    }

    /// A client in the middle of its login goes on with that: it is over soon, and cannot be handed over.
    private func isProvingItself(_ client: ClientID) -> Bool {
        clients[client].phase == .authenticating && clients[client].login?.lookup == nil
    }

    /// A login has come to its end.
    mutating func holdIfSuspended(_ client: ClientID, into actions: inout ActionList) {
        if mode == .suspended { hold(client, .suspension, into: &actions) }
    }

    /// Whether some link still has something to be written to it; the console's own do not count.
    var isFlushing: Bool {
        clientIDs.contains { clients[$0].isCongested && clients[$0].phase != .console }
            || serverIDs.contains { servers[$0].isCongested }
    }

    /// Whether logins are waited for that began before SUSPEND.
    func awaitsLogins(now: Instant) -> Bool {
        now < suspendedAt + Limits.suspendedLoginTime && clientIDs.contains { isProvingItself($0) }
    }

    /// SHOW FDS: the driver tells the rest. The answer is the driver's.
    package mutating func handOver(to console: ClientID, into actions: inout ActionList) {
        let withState = clients[console].knowsHeirlooms
        let withSockets = mayHaveSockets(console)
        if withSockets, mode == .suspended { handsOverWithState = withState }
        actions.append(.handOver(console, withSockets: withSockets, withState: withState))
    }

    /// `suspend_timeout`: links that have not taken what was to be written to them are closed.
    mutating func endFlushing(now: Instant, into actions: inout ActionList) {
        let limit = snapshot.global.suspendTimeout
        guard mode == .suspended, !limit.isZero, now >= suspendedAt + limit else { return }
        for server in serverIDs where servers.contains(server) && servers[server].isCongested {
            if let client = servers[server].client {
                detach(client, from: server, into: &actions)
                refuse(client, .suspendTimeout, now: now, into: &actions)
            }
            closeServer(server, because: Refusal.suspendTimeout.text, now: now, into: &actions)
        }
        for client in clientIDs
        where clients.contains(client) && clients[client].isCongested && clients[client].phase != .console {
            refuse(client, .suspendTimeout, now: now, into: &actions)
        }
    }

    /// Nobody is left who could say RESUME.
    mutating func resumeWithoutConsole(now: Instant, into actions: inout ActionList) {
        guard mode == .suspended, consoleClients == 0 else { return }
        log(.log, "admin disappeared when suspended, doing RESUME", into: &actions)
        resume(nil, now: now, into: &actions)
    }

    /// No deadline of a link ends anything now: it is looked at again later. `false`: nothing is suspended.
    mutating func putsOff(_ client: ClientID, now: Instant) -> Bool {
        guard mode == .suspended else { return false }
        wake(client, at: now + Limits.upkeepPeriod)
        return true
    }

    mutating func putsOff(_ server: ServerID, now: Instant) -> Bool {
        guard mode == .suspended, roster.state(server) != .cancelling else { return false }
        wake(server, at: now + Limits.upkeepPeriod)
        return true
    }
}
