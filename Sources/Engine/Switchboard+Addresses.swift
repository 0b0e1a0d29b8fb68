import Config
import Primitives
import Session
import Wire

/// Where clients come from: what proxies say of it, how many there may be of one address, and how many of
/// whom nothing is known yet.
extension Switchboard {
    // MARK: Proxies

    /// Whether whoever is there begins with a PROXY protocol header.
    func speaksForOthers(_ peer: SocketAddress) -> Bool {
        snapshot.global.proxyProtocol && snapshot.global.proxyProtocolTrusted.contains(peer)
    }

    /// The first bytes from a proxy that is believed. The number consumed.
    mutating func introduction(
        _ bytes: ByteView, of client: ClientID, now: Instant, into actions: inout ActionList
    ) -> Int {
        let header = ProxyHeader.read(bytes)
        let headerBytes: Int
        switch header {
        case .incomplete:
            return 0
        case .absent:
            refuse(client, .headerMissing, now: now, into: &actions)
            return bytes.count
        case .malformed(let why):
            turnAway(client, ByteString("broken PROXY protocol header: ").appending(why), now, into: &actions)
            return bytes.count
        case .own(let length):
            headerBytes = length
        case .client(let address, let length):
            clients[client].peer = address
            headerBytes = length
        }
        clients[client].awaitsHeader = false
        countAddress(client, now: now, into: &actions)
        guard clients.contains(client) else { return bytes.count }
        guard let worker = workerWithFewest() else { return headerBytes }
        pass(client, bytes.slice(headerBytes), to: worker, into: &actions)
        return bytes.count
    }

    /// A header from somebody who is not believed; `false` when it is none.
    mutating func refusesHeader(
        _ bytes: ByteView, from client: ClientID, now: Instant, into actions: inout ActionList
    ) -> Bool {
        guard bytes.hasPrefix("PROXY") || bytes.hasPrefix("\r\n\r\n\0") else { return false }
        let reason: ByteString =
            snapshot.global.proxyProtocol
            ? "PROXY protocol header from an address that is not in proxy_protocol_trusted"
            : "PROXY protocol header, but proxy_protocol is off"
        turnAway(client, reason, now, into: &actions)
        return true
    }

    /// Closes without a word to the other end, because what it speaks is not PostgreSQL's protocol.
    private mutating func turnAway(
        _ client: ClientID, _ reason: ByteString, _ now: Instant, into actions: inout ActionList
    ) {
        if snapshot.global.logPoolerErrors {
            log(.warning, client, ByteString("pooler error: ").appending(reason), into: &actions)
        }
        forget(client, because: reason, told: false, now: now, into: &actions)
        actions.append(.drop(.client(client)))
    }

    // MARK: Addresses

    /// A client whose address is known now takes its place among the connections from there, or is refused.
    mutating func countAddress(
        _ client: ClientID, now: Instant, into actions: inout ActionList
    ) {
        let peer = clients[client].peer
        clients[client].isCounted = true
        if addresses.arrive(peer, limit: snapshot.global.maxClientConnPerAddress) { return }
        refuse(client, .maxClientsOfAddress, now: now, into: &actions)
    }

    /// Counts a new client that may go to another worker at once; `false`: it is to be asked, or refused,
    /// here.
    mutating func countForMate(_ peer: SocketAddress) -> Bool {
        guard !speaksForOthers(peer) else { return false }
        if addresses.arrive(peer, limit: snapshot.global.maxClientConnPerAddress) { return true }
        addresses.leave(peer, wasGuest: false)
        return false
    }

    /// So many logins from there have failed that nobody there is asked for a password for now.
    func isShutOut(_ peer: SocketAddress, now: Instant) -> Bool {
        addresses.isShutOut(peer, limit: snapshot.global.maxFailedLoginsPerAddress, now: now)
    }

    /// One more application from this address, if there may be one more.
    mutating func enterAddress(_ peer: SocketAddress, now: Instant) -> Refusal? {
        if isShutOut(peer, now: now) { return .shutOutAddress }
        return addresses.enter(peer, limit: snapshot.global.maxClientConnPerAddress)
            ? nil : .maxClientsOfAddress
    }

    /// A client is gone, or is none of those that count; a mate's are the keeper's to count.
    mutating func leaveAddress(_ client: ClientID) {
        guard clients[client].isCounted, !crew.isMate else { return }
        clients[client].isCounted = false
        addresses.leave(clients[client].peer, wasGuest: clients[client].isGuest)
    }

    /// Somebody could not prove to be who it said.
    mutating func loginFailed(from peer: SocketAddress, now: Instant, into actions: inout ActionList) {
        guard snapshot.global.maxFailedLoginsPerAddress > 0 else { return }
        if crew.isMate { return post(.loginFailed(peer), to: .keeper, into: &actions) }
        addresses.failed(peer, now: now)
    }

    // MARK: Strangers

    /// How many of this worker's clients may be such that have not proved who they are.
    private var strangerLimit: Int {
        let global = snapshot.global
        let all = global.maxLoginConns > 0 ? global.maxLoginConns : max(64, global.maxClientConn)
        return max(1, all / crew.count)
    }

    /// A client of whom nothing is known: when there are too many, the one that has been here longest goes.
    /// Whoever means to log in does so soon, and whoever only wants to keep others out waits.
    mutating func isStrange(_ client: ClientID, now: Instant, into actions: inout ActionList) {
        strangers += 1
        while let first = strangerLine.first, !clients.contains(first) || !clients[first].isStranger {
            strangerLine.removeFirst()
        }
        if strangers > strangerLimit, let first = strangerLine.first {
            strangerLine.removeFirst()
            refuse(first, .pushedOut, now: now, into: &actions)
        }
        strangerLine.append(client)
        guard strangerLine.count > 2 * strangers + 64 else { return }
        for _ in 0..<strangerLine.count {
            let next = strangerLine.removeFirst()
            if clients.contains(next), clients[next].isStranger { strangerLine.append(next) }
        }
    }

    /// It has proved who it is, or needs not, or is gone.
    mutating func isNoStranger(_ client: ClientID) {
        guard clients[client].isStranger else { return }
        clients[client].isStranger = false
        strangers -= 1
    }
}
