import Config
import Pool
import Primitives
import Session
import Wire

/// Cancel requests between processes that share a port. A key tells in PgBouncer's way whose it is, so that
/// both can stand in one fleet: bytes 1 and 2 are the peer's number, the lower first, and the two low bits of
/// byte 7 say how often a request may still be passed on.
extension Switchboard {
    private static let hopBits: UInt64 = 3

    var isPeering: Bool { snapshot.global.peerID > 0 }

    /// The key with our number in it.
    func marked(_ key: UInt64) -> UInt64 {
        let peer = UInt64(UInt16(clamping: snapshot.global.peerID))
        return key & ~0x00FF_FF00_0000_0000 | (peer & 0xFF) << 48 | (peer >> 8) << 40 | Self.hopBits
    }

    /// Whether the number in a key is that of another process.
    func isOfPeer(processID: UInt32) -> Bool {
        isPeering && processID & 0x00FF_FF00 != UInt32(truncatingIfNeeded: marked(0) >> 32)
    }

    /// A key as we gave it out, however often the request has been passed on since.
    func unhopped(_ key: UInt64) -> UInt64 { isPeering ? key | Self.hopBits : key }

    /// The request means nobody here. `false`: it means nobody elsewhere either.
    mutating func forwardCancel(
        processID: UInt32, secret: ByteView, by asker: ClientID, now: Instant, into actions: inout ActionList
    ) -> Bool {
        // Longer secrets are never given out by those who have peers.
        guard isPeering, secret.count == 4, let start = secret.uint32(at: 0) else { return false }
        let key = UInt64(processID) << 32 | UInt64(start)
        let peer = UInt16(truncatingIfNeeded: (key >> 48 & 0xFF) | (key >> 40 & 0xFF) << 8)
        if Int(peer) == snapshot.global.peerID { return false }
        guard snapshot.peers.contains(where: { $0.id == peer }) else {
            endCancel(asker, "could not find peer to forward request to", now: now, into: &actions)
            return true
        }
        guard key & Self.hopBits > 0 else {
            endCancel(
                asker, "failed to forward cancel request because its TTL was exhausted", now: now,
                into: &actions)
            return true
        }
        usedPeers.insert(peer)
        clients[asker].forwarded = ForwardedCancel(peer: peer, key: key - 1, asker: asker)
        if let forwarded = clients[asker].forwarded { waitingForwards.append(forwarded) }
        wake(asker, after: snapshot.global.cancelWaitTimeout, from: now)
        startForwards(now: now, into: &actions)
        return true
    }

    /// Opens connections for the requests in line, as far as each peer has room for them.
    private mutating func startForwards(now: Instant, into actions: inout ActionList) {
        let waiting = waitingForwards
        waitingForwards.removeAll()
        for forwarded in waiting {
            guard let peer = snapshot.peers.first(where: { $0.id == forwarded.peer }) else {
                endForward(forwarded, "could not find peer to forward request to", now: now, into: &actions)
                continue
            }
            let limit = peer.poolSize ?? snapshot.global.defaultPoolSize
            if limit > 0, carriers(to: peer.id).count >= limit {
                waitingForwards.append(forwarded)
                continue
            }
            let endpoint = Endpoint(host: peer.host, port: peer.port)
            guard let consolePool, let carrier = newServer(in: consolePool, to: endpoint, now: now) else {
                endForward(forwarded, "failed cancel request", now: now, into: &actions)
                continue
            }
            servers[carrier].forwarded = forwarded
            pools[consolePool].lists.move(carrier, to: .cancelling, in: &roster)
            wake(carrier, after: snapshot.global.serverConnectTimeout, from: now)
            actions.open(carrier, endpoint)
        }
    }

    private func carriers(to peer: UInt16) -> [ServerID] {
        serverIDs.filter { servers[$0].forwarded?.peer == peer }
    }

    /// The connection to the peer stands.
    mutating func sendForwarded(
        _ carrier: ServerID, _ forwarded: ForwardedCancel, into actions: inout ActionList
    ) {
        servers[carrier].phase = .cancelRequest
        actions.send(to: .server(carrier)) {
            $0.append(uint32: 16)
            $0.append(uint32: 1234 << 16 | 5678)
            $0.append(uint32: UInt32(truncatingIfNeeded: forwarded.key >> 32))
            $0.append(uint32: UInt32(truncatingIfNeeded: forwarded.key))
        }
    }

    /// The connection to the peer is gone: it has dealt with the request, or could not be reached.
    mutating func forwardEnded(
        _ forwarded: ForwardedCancel, because reason: ByteString, now: Instant, into actions: inout ActionList
    ) {
        endForward(forwarded, reason, now: now, into: &actions)
        if !waitingForwards.isEmpty { startForwards(now: now, into: &actions) }
    }

    private mutating func endForward(
        _ forwarded: ForwardedCancel, _ reason: ByteString, now: Instant, into actions: inout ActionList
    ) {
        guard let asker = forwarded.asker else { return }
        endCancel(asker, reason, now: now, into: &actions)
    }

    /// For SHOW PEER_POOLS, by number of the peer.
    package var peerPools: [PeerPoolReport] {
        usedPeers.sorted().map { peer in
            var report = PeerPoolReport(peer: Int(peer))
            report.waitingRequests = waitingForwards.reduce(0) {
                $0 + ($1.peer == peer && $1.asker != nil ? 1 : 0)
            }
            for carrier in carriers(to: peer) {
                if servers[carrier].phase == .connecting {
                    report.opening += 1
                    if servers[carrier].forwarded?.asker != nil { report.waitingRequests += 1 }
                } else {
                    report.activeCancels += 1
                    if servers[carrier].forwarded?.asker != nil { report.activeRequests += 1 }
                }
            }
            return report
        }
    }
}

/// Cancel requests on their way to one peer.
package struct PeerPoolReport: Equatable, Sendable {
    package let peer: Int
    /// Askers whose request has been passed on, and those whose has not.
    package var activeRequests = 0
    package var waitingRequests = 0
    /// Connections that have said it, and those being made.
    package var activeCancels = 0
    package var opening = 0

    init(peer: Int) { self.peer = peer }
}
