import Config
import Pool
import Primitives
import Session
import Wire

/// Cancel requests: they hit the query they were meant for, or nothing (I6).
///
/// A request names a client. If a server works for that client now, the request goes to that server over a
/// connection of its own; until that connection has ended, the server is given to nobody and gets no new
/// request. The asking connection is closed only then, because applications take its end for the end of the
/// cancel.
extension Switchboard {
    mutating func cancelRequested(
        processID: UInt32, secret: ByteView, by asker: ClientID, now: Instant, into actions: inout ActionList
    ) {
        clients[asker].phase = .cancelRequest
        isNoStranger(asker)
        clients[asker].requestAt = now
        cancelRequests += 1
        guard let client = owner(processID: processID, secret: secret) else {
            if forwardCancel(processID: processID, secret: secret, by: asker, now: now, into: &actions) {
                return
            }
            return endCancel(asker, "failed cancel request", now: now, into: &actions)
        }
        switch clients[client].phase {
        case .active, .replicating:
            guard let server = clients[client].server, !servers[server].replies.isEmpty else {
                return endCancel(asker, "cancel request for idle client", now: now, into: &actions)
            }
            sendOn(asker, to: server, of: client, now: now, into: &actions)
        case .waiting:
            cancelInLine(client, into: &actions)
            endCancel(asker, "cancelled a request in line", now: now, into: &actions)
        case .console:
            cancelConsole(client)
            endCancel(asker, "cancel request for console client", now: now, into: &actions)
        case .startup, .authenticating, .awaitingWelcome, .idle, .skipping, .cancelRequest:
            endCancel(asker, "cancel request for idle client", now: now, into: &actions)
        }
    }

    /// Whose key this is. The secret is compared in constant time.
    private func owner(processID: UInt32, secret: ByteView) -> ClientID? {
        guard let start = secret.uint32(at: 0),
            let client = cancelKeys[unhopped(UInt64(processID) << 32 | UInt64(start))]
        else { return nil }
        let rest = secret.slice(4)
        let wanted = clients[client].longSecret ?? ""
        guard rest.count == wanted.count else { return nil }
        var difference: UInt8 = 0
        for (index, byte) in wanted.bytes.enumerated() { difference |= byte ^ (rest[index] ?? 0) }
        return difference == 0 ? client : nil
    }

    private mutating func sendOn(
        _ asker: ClientID?, to server: ServerID, of client: ClientID, now: Instant,
        into actions: inout ActionList
    ) {
        hold(client, .cancel, into: &actions)
        if let asker {
            clients[asker].cancelTarget = server
            wake(asker, after: snapshot.global.cancelWaitTimeout, from: now)
        }
        if servers[server].cancels > 0 {
            // One is on its way already and will do for both.
            servers[server].cancels += 1
            return
        }
        let pool = servers[server].pool
        let size = pools[pool].settings.limits.size
        // One at a time always finds its way; more of them share what is left of twice the pool's size.
        let carriers = pools[pool].lists[.cancelling].count
        let share = size * Limits.cancelsPerPoolSize / crew.count
        let room = size == 0 ? Int.max : max(1, share - pools[pool].lists.here)
        // A cancel may not hit a query of ours: it waits.
        if servers[server].awaitsParameters || carriers >= room {
            if let asker { clients[asker].cancelTarget = nil }
            waitingCancels.append((asker, client, servers[server].epoch))
            return
        }
        guard let carrier = newServer(in: pool, to: servers[server].endpoint, now: now) else {
            unhold(client, .cancel, into: &actions)
            guard let asker else { return }
            clients[asker].cancelTarget = nil
            return endCancel(asker, "failed cancel request", now: now, into: &actions)
        }
        servers[server].cancels += 1
        servers[carrier].victim = server
        pools[pool].lists.move(carrier, to: .cancelling, in: &roster)
        wake(carrier, after: pools[pool].settings.serverConnectTimeout, from: now)
        var endpoint = servers[server].endpoint
        if let remote = servers[server].remote, remote.family != .unix {
            // The same address, not just the same name.
            endpoint = Endpoint(host: ByteString(remote.host), port: remote.port)
        }
        actions.open(carrier, endpoint)
    }

    /// The connection for a cancel request stands: is the query it was meant for still running?
    mutating func sendCancel(_ carrier: ServerID, now: Instant, into actions: inout ActionList) {
        guard let victim = servers[carrier].victim, servers.contains(victim),
            servers[victim].client != nil, !servers[victim].replies.isEmpty
        else {
            actions.append(.drop(.server(carrier)))
            return forgetServer(
                carrier, because: "not sending cancel request for client that is now idle", now: now,
                into: &actions)
        }
        servers[carrier].phase = .cancelRequest
        servers[victim].needsFence = true
        let processID = servers[victim].processID
        let secret = servers[victim].secret
        actions.send(to: .server(carrier)) {
            $0.append(uint32: UInt32(12 + secret.count))
            $0.append(uint32: 1234 << 16 | 5678)
            $0.append(uint32: processID)
            $0.append(secret)
        }
    }

    /// The connection that carried a cancel request for `victim` is gone; the server is its client's again,
    /// or free.
    mutating func cancelEnded(on victim: ServerID, now: Instant, into actions: inout ActionList) {
        defer { retryCancels(now: now, into: &actions) }
        guard servers.contains(victim) else { return }
        servers[victim].cancels = 0
        dropCancels(for: victim, now: now, into: &actions)
        if let client = servers[victim].client {
            unhold(client, .cancel, into: &actions)
            releaseIfFree(victim, of: client, now: now, into: &actions)
        } else if roster.state(victim) == .testing, servers[victim].errand == .none {
            release(victim, now: now, into: &actions)
        }
    }

    /// Whoever asked for this server's query to be cancelled has been served.
    mutating func dropCancels(for server: ServerID, now: Instant, into actions: inout ActionList) {
        for asker in clientIDs where clients.contains(asker) && clients[asker].cancelTarget == server {
            endCancel(asker, "successfully sent cancel request", now: now, into: &actions)
        }
    }

    mutating func retryCancels(now: Instant, into actions: inout ActionList) {
        let waiting = waitingCancels
        waitingCancels.removeAll()
        for (asker, client, epoch) in waiting {
            guard clients.contains(client), let server = clients[client].server,
                servers[server].epoch == epoch,
                !servers[server].replies.isEmpty
            else {
                if clients.contains(client) { unhold(client, .cancel, into: &actions) }
                if let asker {
                    endCancel(
                        asker, "not sending cancel request for client that is now idle", now: now,
                        into: &actions)
                }
                continue
            }
            sendOn(asker, to: server, of: client, now: now, into: &actions)
        }
    }

    mutating func endCancel(
        _ asker: ClientID, _ reason: ByteString, now: Instant, into actions: inout ActionList
    ) {
        forget(asker, because: reason, told: false, now: now, into: &actions)
        actions.append(.close(.client(asker)))
    }

    /// A client that carried a cancel request goes: called by `forget` only.
    mutating func endCancelRequest(_ asker: ClientID, now: Instant, into actions: inout ActionList) {
        cancelRequests -= 1
        clients[asker].forwarded?.asker = nil
        // PostgreSQL carries a cancel out also when nobody waits for the end of it.
        for index in waitingCancels.indices where waitingCancels[index].asker == asker {
            waitingCancels[index].asker = nil
        }
    }

    /// Cancel for a client in line: its request is answered with the error PostgreSQL would give, and never
    /// sent.
    private mutating func cancelInLine(_ client: ClientID, into actions: inout ActionList) {
        leaveLine(client)
        clients[client].phase = .idle
        clients[client].cancelsNext = true
        unhold(client, .queue, into: &actions)
    }
}
