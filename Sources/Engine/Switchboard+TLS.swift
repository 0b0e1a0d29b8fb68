import Config
import Pool
public import Primitives
public import Session
import Wire

/// Who is encrypted: the questions and answers before TLS begins, and what follows from its end. The bytes
/// of TLS itself are the driver's (manual: "SSL Session Encryption").
extension Switchboard {
    // MARK: Clients

    /// Over a unix socket there is nobody to hide from; and nothing is encrypted twice.
    func mayEncrypt(_ client: ClientID) -> Bool {
        clients[client].encryption == nil && clients[client].peer.family != .unix
    }

    /// SSLRequest and GSSENCRequest: each at most once and never inside TLS, and nothing may stand behind it:
    /// whoever sits between could have put it there.
    mutating func encryptionRequest(
        _ bytes: ByteView, _ asked: ReferenceWritableKeyPath<ClientLogin, Bool>, _ tail: Refusal,
        from client: ClientID, _ now: Instant, into actions: inout ActionList
    ) -> Int {
        let login = clients[client].login ?? ClientLogin()
        clients[client].login = login
        if bytes.count > 8 {
            refuse(client, tail, now: now, into: &actions)
            return bytes.count
        }
        if login[keyPath: asked] || clients[client].encryption != nil {
            refuse(client, .badHeader(bytes), now: now, into: &actions)
            return bytes.count
        }
        login[keyPath: asked] = true
        let isGranted = asked == \.sslAsked && tlsForClients != .disable && mayEncrypt(client)
        actions.send(to: .client(client)) { $0.append(isGranted ? UInt8(ascii: "S") : UInt8(ascii: "N")) }
        if isGranted { actions.startTLS(.client(client)) }
        return 8
    }

    // MARK: Servers

    /// The connection stands: asks the server for TLS, if it is to be asked.
    mutating func askForTLS(_ server: ServerID, _ remote: SocketAddress, into actions: inout ActionList)
        -> Bool
    {
        guard tlsForServers != .disable, remote.family != .unix else { return false }
        // A cancel request is encrypted if the session it is for is.
        if let victim = servers[server].victim, servers.contains(victim),
            servers[victim].encryption == nil
        {
            return false
        }
        if tlsForServers.demandsTLS, snapshot.global.serverTLSNegotiation == .direct {
            servers[server].phase = .shakingHands
            actions.startTLS(.server(server), host: certificateHost(of: server), isDirect: true)
            return true
        }
        servers[server].phase = .askingForTLS
        actions.send(to: .server(server)) {
            $0.append(uint32: 8)
            $0.append(uint32: 1234 << 16 | 5679)
        }
        return true
    }

    /// The server's answer to SSLRequest: one byte, and nothing behind it.
    mutating func encryptionAnswered(
        _ bytes: ByteView, from server: ServerID, now: Instant, into actions: inout ActionList
    ) -> Int {
        let isYes = bytes[0] == UInt8(ascii: "S")
        if !isYes, bytes[0] != UInt8(ascii: "N") {
            giveUpTLS(server, "bad sslreq answer", now: now, into: &actions)
        } else if bytes.count > 1 {
            giveUpTLS(server, "received unencrypted data after SSL response", now: now, into: &actions)
        } else if isYes {
            servers[server].phase = .shakingHands
            actions.startTLS(.server(server), host: certificateHost(of: server))
        } else if tlsForServers.demandsTLS || servers[server].victim != nil {
            // A cancel request does not go in the clear for a session that does not.
            giveUpTLS(server, "server refused SSL", now: now, into: &actions)
        } else {
            beginSession(server, now: now, into: &actions)
        }
        return bytes.count
    }

    /// The host as the configuration names it; the address when it names none.
    private func certificateHost(of server: ServerID) -> ByteString {
        if let victim = servers[server].victim, servers.contains(victim) {
            return servers[victim].endpoint.host
        }
        return servers[server].endpoint.host
    }

    private mutating func giveUpTLS(
        _ server: ServerID, _ reason: ByteString, now: Instant, into actions: inout ActionList
    ) {
        if servers[server].victim == nil { loginFailed(server, Refusal(reason), now: now, into: &actions) }
        closeServer(server, because: reason, now: now, into: &actions)
    }

    // MARK: What the driver tells

    /// The handshake that `.startTLS` began is done.
    public mutating func secured(
        _ link: LinkID, _ encryption: Encryption, now: Instant, into actions: inout ActionList
    ) {
        switch link {
        case .client(let client):
            guard clients.contains(client) else { return }
            clients[client].encryption = encryption
        case .server(let server):
            guard servers.contains(server) else { return }
            servers[server].encryption = encryption
            if servers[server].victim == nil, snapshot.global.logConnections {
                log(
                    .log, server, ByteString("SSL established: ").appending(encryption.text), into: &actions)
            }
            beginSession(server, now: now, into: &actions)
        }
    }

    mutating func logBrokenTLS(_ client: ClientID, _ why: ByteString, into actions: inout ActionList) {
        let what: ByteString =
            clients[client].encryption == nil ? "TLS handshake error: " : "TLS error: "
        log(.warning, client, what.appending(why), into: &actions)
    }

    mutating func logBrokenTLS(_ server: ServerID, _ why: ByteString, into actions: inout ActionList) {
        let what: ByteString =
            servers[server].encryption == nil ? "TLS handshake error: " : "TLS error: "
        log(.warning, server, what.appending(why), into: &actions)
    }
}
