import COpenSSL
package import Primitives

/// TLS on one connection, as one word: owned by hand, by the connection. It has no socket: encrypted bytes
/// come and go through a `TLSExchange`, so whoever owns the socket reads and writes once per batch.
///
/// `@unchecked Sendable`: it may go to another thread together with its socket, because between two calls it
/// holds nothing of the exchange, and what it shares with other streams the library counts and locks.
package struct TLSStream: @unchecked Sendable {
    private let ssl: OpaquePointer

    /// How a handshake stands.
    package enum Handshake: Equatable {
        case goesOn, done
        case failed(TLSFailure)
    }

    /// What came of reading.
    package enum Reading: Equatable {
        case bytes(Int)
        /// Nothing more until more comes.
        case nothing
        /// The peer has said that nothing more will come.
        case closed
        case failed(TLSFailure)
    }

    /// `server`: whom we connect to, as its certificate must say under verify-full. `demandsProtocol`: the
    /// peer must name PostgreSQL's protocol (ALPN), because no SSLRequest did.
    package init?(_ context: TLSContext, server: ByteString = "", demandsProtocol: Bool) {
        guard let ssl = SSL_new(context.pointer), let bio = BIO_new(FlowMethod.shared.pointer) else {
            return nil
        }
        BIO_set_init(bio, 1)
        SSL_set_bio(ssl, bio, bio)
        SSL_set_ex_data(ssl, 0, UnsafeMutableRawPointer(bitPattern: demandsProtocol ? 1 : 0))
        self.ssl = ssl
        guard context.isForServers else {
            SSL_set_accept_state(ssl)
            return
        }
        SSL_set_connect_state(ssl)
        if demandsProtocol {
            let protocols = [UInt8(TLSContext.protocolName.count)] + TLSContext.protocolName
            SSL_set_alpn_protos(ssl, protocols, UInt32(protocols.count))
        }
        if context.verifiesNames, !Certificate.demand(server, of: ssl) {
            SSL_free(ssl)
            return nil
        }
        // An address is no name to ask for (RFC 6066).
        if !server.isEmpty, !server.isAddress { _ = server.withCText { openssl_name_server(ssl, $0) } }
    }

    package func free() { SSL_free(ssl) }

    /// Goes on with the handshake; `input` is left with what it has not used.
    package func handshake(_ input: inout ByteView, _ exchange: inout TLSExchange) -> Handshake {
        let result = run(&input, &exchange) { SSL_do_handshake(ssl) }
        if result == 1 { return hasItsProtocol ? .done : .failed(.noProtocol) }
        switch SSL_get_error(ssl, result) {
        case SSL_ERROR_WANT_READ, SSL_ERROR_WANT_WRITE: return .goesOn
        default: return .failed(failure)
        }
    }

    /// A server that was not asked for TLS first must have agreed that PostgreSQL is spoken inside; of
    /// clients the library sees to that.
    private var hasItsProtocol: Bool {
        guard SSL_is_server(ssl) == 0, SSL_get_ex_data(ssl, 0) != nil else { return true }
        var agreed: UnsafePointer<UInt8>?
        var count: UInt32 = 0
        SSL_get0_alpn_selected(ssl, &agreed, &count)
        return agreed != nil && count > 0
    }

    /// Decrypts into `place`.
    package func read(
        _ input: inout ByteView, into place: UnsafeMutableRawPointer, _ count: Int,
        _ exchange: inout TLSExchange
    ) -> Reading {
        guard count > 0 else { return .nothing }
        let wanted = Int32(clamping: count)
        let result = run(&input, &exchange) { SSL_read(ssl, place, wanted) }
        if result > 0 { return .bytes(Int(result)) }
        switch SSL_get_error(ssl, result) {
        case SSL_ERROR_WANT_READ, SSL_ERROR_WANT_WRITE: return .nothing
        case SSL_ERROR_ZERO_RETURN: return .closed
        default: return .failed(failure)
        }
    }

    /// Whether a read would find something without further input. To ask is cheaper than to read in vain.
    package var hasMore: Bool { SSL_has_pending(ssl) == 1 }

    /// Encrypts bytes into the exchange's output.
    package func write(_ bytes: ByteView, _ exchange: inout TLSExchange) -> TLSFailure? {
        var rest = bytes
        var none = bytes.slice(0, 0)
        while !rest.isEmpty {
            let wanted = Int32(clamping: min(rest.count, TLSExchange.recordBytes))
            let result = run(&none, &exchange) { SSL_write(ssl, rest.base, wanted) }
            guard result > 0 else { return failure }
            rest = rest.slice(Int(result))
        }
        return nil
    }

    /// As `write`, of many pieces: small neighbours share a record.
    package func write(
        count pieces: Int, _ exchange: inout TLSExchange, _ piece: (Int) -> ByteView
    ) -> TLSFailure? {
        if pieces == 1 { return write(piece(0), &exchange) }
        var held = 0
        for index in 0..<pieces {
            var view = piece(index)
            while !view.isEmpty {
                let part = view.slice(0, TLSExchange.recordBytes - held)
                (exchange.record + held).copyMemory(from: part.base, byteCount: part.count)
                held += part.count
                view = view.slice(part.count)
                guard held == TLSExchange.recordBytes else { continue }
                if let failure = write(ByteView(base: exchange.record, count: held), &exchange) {
                    return failure
                }
                held = 0
            }
        }
        return write(ByteView(base: exchange.record, count: held), &exchange)
    }

    /// Says to the peer that nothing more will come.
    package func close(_ exchange: inout TLSExchange) {
        guard SSL_is_init_finished(ssl) == 1 else { return }
        var none = ByteView(base: exchange.room, count: 0)
        _ = run(&none, &exchange) { SSL_shutdown(ssl) }
    }

    private func run(
        _ input: inout ByteView, _ exchange: inout TLSExchange, _ body: () -> Int32
    ) -> Int32 {
        ERR_clear_error()
        let flow = exchange.flow
        flow.pointee.input = input.base
        flow.pointee.inputCount = input.count
        BIO_set_data(SSL_get_rbio(ssl), flow)
        let result = body()
        input = input.slice(input.count - flow.pointee.inputCount)
        flow.pointee.input = nil
        flow.pointee.inputCount = 0
        return result
    }

    private var failure: TLSFailure {
        let verdict = SSL_get_verify_result(ssl)
        let said = TLSFailure.fromLibrary("the connection broke")
        guard verdict != X509_V_OK, let reason = X509_verify_cert_error_string(verdict) else { return said }
        return TLSFailure(ByteString(said.text.bytes + Array((": " + String(cString: reason)).utf8)))
    }

    // MARK: What has been agreed on

    /// Of a finished handshake.
    package var facts: TLSFacts {
        let cipher = SSL_CIPHER_get_name(SSL_get_current_cipher(ssl))
        var facts = TLSFacts()
        facts.version = ByteString(String(cString: SSL_get_version(ssl)))
        facts.cipher = ByteString(cipher.map { String(cString: $0) } ?? "")
        // From 1.3 on the cipher says nothing of the key exchange, and nor do we, as PgBouncer.
        let group = SSL_version(ssl) < TLS1_3_VERSION ? openssl_group(ssl) : 0
        if group != 0, let name = OBJ_nid2sn(Int32(group)) { facts.group = ByteString(String(cString: name)) }
        var name: UnsafePointer<UInt8>?
        var count: UInt32 = 0
        SSL_get0_alpn_selected(ssl, &name, &count)
        facts.hasProtocol = name != nil && count > 0
        let peer = SSL_get1_peer_certificate(ssl)
        defer { X509_free(peer) }
        if let peer {
            facts.hasPeer = true
            facts.isPeerVerified =
                SSL_get_verify_mode(ssl) & SSL_VERIFY_PEER != 0 && SSL_get_verify_result(ssl) == X509_V_OK
            facts.peerName = Certificate.commonName(peer)
        }
        let shown = SSL_is_server(ssl) == 1 ? SSL_get_certificate(ssl) : peer
        if let shown { facts.endpointDigest = Certificate.endpointDigest(shown) }
        return facts
    }
}

/// What two ends have agreed on, and who the other one is.
package struct TLSFacts: Equatable, Sendable {
    package var version: ByteString = ""
    package var cipher: ByteString = ""
    /// Of the key exchange; `nil` for none.
    package var group: ByteString?
    /// PostgreSQL's protocol was named (ALPN).
    package var hasProtocol = false
    /// The peer has shown a certificate.
    package var hasPeer = false
    /// And it is from an authority that we trust.
    package var isPeerVerified = false
    /// The common name of the peer's certificate.
    package var peerName: ByteString?
    /// Digest of the server's certificate, as `tls-server-end-point` has it (RFC 5929); empty when its
    /// signature has none.
    package var endpointDigest: ByteString = ""
    package init() {}
}
