import COpenSSL
package import Config
import Primitives

/// What holds for every stream on one side: keys, certificates, whom to trust, versions and ciphers. Never
/// changed once it is made; a reload makes another one, and streams keep theirs.
package final class TLSContext: @unchecked Sendable {  // the library counts and locks what streams share
    let pointer: OpaquePointer
    /// We are the one who connects.
    let isForServers: Bool
    /// The server's certificate must be for the name it was asked for by.
    package let verifiesNames: Bool

    static let protocolName = Array("postgresql".utf8)

    deinit { SSL_CTX_free(pointer) }

    private init(isForServers: Bool, verifiesNames: Bool) throws(TLSFailure) {
        guard let pointer = SSL_CTX_new(isForServers ? TLS_client_method() : TLS_server_method()) else {
            throw .fromLibrary("no memory")
        }
        self.pointer = pointer
        self.isForServers = isForServers
        self.verifiesNames = verifiesNames
        SSL_CTX_set_options(pointer, openssl_stream_options())
        openssl_set_modes(pointer)
        SSL_CTX_set_num_tickets(pointer, 0)
        // A key with a passphrase is an error; nobody is asked for it.
        SSL_CTX_set_default_passwd_cb(pointer) { _, _, _, _ in 0 }
    }

    /// For connections of clients; `nil` when they get no TLS. Fails with what is wrong with the settings or
    /// the files that they name.
    package static func forClients(_ global: GlobalSettings) throws(TLSFailure) -> TLSContext? {
        let mode = global.clientTLSSSLMode
        if global.authType == .cert {
            guard mode == .verifyFull else {
                throw TLSFailure("auth_type=cert requires client_tls_sslmode=SSLMODE_VERIFY_FULL")
            }
            guard !global.clientTLSCAFile.isEmpty else {
                throw TLSFailure("auth_type=cert requires client_tls_ca_file")
            }
        }
        guard mode != .disable else { return nil }
        guard !global.clientTLSKeyFile.isEmpty, !global.clientTLSCertFile.isEmpty else {
            throw TLSFailure(
                """
                To allow TLS connections from clients, client_tls_key_file and client_tls_cert_file must \
                be set.
                """)
        }
        let verifies = mode == .verifyCA || mode == .verifyFull
        guard !verifies || !global.clientTLSCAFile.isEmpty else {
            throw TLSFailure("client_tls_sslmode requires client_tls_ca_file")
        }
        let context = try TLSContext(isForServers: false, verifiesNames: false)
        let side = TLSSide(
            "client_tls", protocols: global.clientTLSProtocols, ciphers: global.clientTLSCiphers,
            suites: global.clientTLS13Ciphers)
        try context.set(side)
        try context.setKeyExchange(global)
        try context.load(
            side, certificate: global.clientTLSCertFile, key: global.clientTLSKeyFile)
        try context.trust(side, global.clientTLSCAFile)
        if !global.clientTLSCAFile.isEmpty {
            SSL_CTX_set_client_CA_list(
                context.pointer, global.clientTLSCAFile.withCText { SSL_load_client_CA_file($0) })
            let always = verifies ? SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0
            SSL_CTX_set_verify(context.pointer, SSL_VERIFY_PEER | always, nil)
        }
        context.choosesProtocol()
        return context
    }

    /// For connections to servers; `nil` when they get no TLS.
    package static func forServers(_ global: GlobalSettings) throws(TLSFailure) -> TLSContext? {
        let mode = global.serverTLSSSLMode
        guard mode != .disable else { return nil }
        let context = try TLSContext(isForServers: true, verifiesNames: mode == .verifyFull)
        let side = TLSSide(
            "server_tls", protocols: global.serverTLSProtocols, ciphers: global.serverTLSCiphers,
            suites: global.serverTLS13Ciphers)
        try context.set(side)
        if !global.serverTLSCertFile.isEmpty || !global.serverTLSKeyFile.isEmpty {
            try context.load(side, certificate: global.serverTLSCertFile, key: global.serverTLSKeyFile)
        }
        try context.trust(side, global.serverTLSCAFile)
        if mode == .verifyCA || mode == .verifyFull {
            if global.serverTLSCAFile.isEmpty { SSL_CTX_set_default_verify_paths(context.pointer) }
            SSL_CTX_set_verify(context.pointer, SSL_VERIFY_PEER) { isGood, verdict in
                guard isGood != 1, Certificate.mayExcuse(verdict) else { return isGood }
                X509_STORE_CTX_set_error(verdict, X509_V_OK)
                return 1
            }
        }
        return context
    }

    // MARK: Versions and ciphers

    private func set(_ side: TLSSide) throws(TLSFailure) {
        guard let versions = side.versions, let least = versions.min(), let most = versions.max(),
            openssl_set_versions(pointer, least, most) == 1
        else { throw side.invalid("protocols", side.protocols) }
        for version in TLSSide.allVersions where !versions.contains(version) {
            SSL_CTX_set_options(pointer, openssl_without(version))
        }
        if !TLSSide.libraryCiphers.contains(side.ciphers.lossyText) {
            ERR_clear_error()
            guard side.ciphers.withCText({ SSL_CTX_set_cipher_list(pointer, $0) }) == 1 else {
                throw side.invalid("ciphers", side.ciphers)
            }
        }
        guard let suites = side.suites, !suites.isEmpty, versions.contains(TLS1_3_VERSION) else { return }
        ERR_clear_error()
        guard suites.withCText({ SSL_CTX_set_ciphersuites(pointer, $0) }) == 1 else {
            throw side.failed("tls13_ciphers", suites, "failed to set the TLSv1.3 cipher suites")
        }
    }

    private func setKeyExchange(_ global: GlobalSettings) throws(TLSFailure) {
        openssl_set_dh_auto(pointer, global.clientTLSDHEParams == .none ? 0 : 1)
        let curve = global.clientTLSECDHCurve
        if ["auto", "none", ""].contains(curve.lossyText) { return }
        ERR_clear_error()
        guard curve.withCText({ openssl_set_groups(pointer, $0) }) == 1 else {
            throw TLSFailure(ByteString("TLS setup failed: invalid client_tls_ecdhcurve: \(curve.lossyText)"))
        }
    }

    // MARK: Files

    private func load(
        _ side: TLSSide, certificate: ByteString, key: ByteString
    ) throws(TLSFailure) {
        ERR_clear_error()
        guard !certificate.isEmpty else {
            throw TLSFailure(
                ByteString("TLS setup failed: \(side.name)_key_file needs \(side.name)_cert_file"))
        }
        guard certificate.withCText({ SSL_CTX_use_certificate_chain_file(pointer, $0) }) == 1 else {
            throw side.failed("cert_file", certificate, TLSFailure.fromLibrary("no certificate in it").text)
        }
        guard !key.isEmpty else {
            throw TLSFailure(
                ByteString("TLS setup failed: \(side.name)_cert_file needs \(side.name)_key_file"))
        }
        guard key.withCText({ SSL_CTX_use_PrivateKey_file(pointer, $0, SSL_FILETYPE_PEM) }) == 1,
            SSL_CTX_check_private_key(pointer) == 1
        else { throw side.failed("key_file", key, TLSFailure.fromLibrary("no key in it").text) }
    }

    private func trust(_ side: TLSSide, _ authorities: ByteString) throws(TLSFailure) {
        guard !authorities.isEmpty else { return }
        ERR_clear_error()
        guard authorities.withCText({ SSL_CTX_load_verify_locations(pointer, $0, nil) }) == 1 else {
            throw side.failed("ca_file", authorities, TLSFailure.fromLibrary("no certificate in it").text)
        }
    }

    // MARK: PostgreSQL's protocol name (ALPN)

    /// Clients that name protocols must name ours; those that began without SSLRequest must name one.
    private func choosesProtocol() {
        SSL_CTX_set_alpn_select_cb(
            pointer,
            { _, chosen, chosenCount, offered, count, _ in
                guard let offered, let chosen, let chosenCount else { return SSL_TLSEXT_ERR_ALERT_FATAL }
                var offset = 0
                while offset < Int(count) {
                    let length = Int(offered[offset])
                    guard offset + 1 + length <= Int(count) else { break }
                    let name = UnsafeBufferPointer(start: offered + offset + 1, count: length)
                    if name.elementsEqual(TLSContext.protocolName) {
                        chosen.pointee = offered + offset + 1
                        chosenCount.pointee = UInt8(length)
                        return SSL_TLSEXT_ERR_OK
                    }
                    offset += 1 + length
                }
                return SSL_TLSEXT_ERR_ALERT_FATAL
            }, nil)
        SSL_CTX_set_client_hello_cb(
            pointer,
            { stream, alert, _ in
                guard SSL_get_ex_data(stream, 0) != nil else { return SSL_CLIENT_HELLO_SUCCESS }
                var names: UnsafePointer<UInt8>?
                var count = 0
                let extensionType = UInt32(TLSEXT_TYPE_application_layer_protocol_negotiation)
                if SSL_client_hello_get0_ext(stream, extensionType, &names, &count) == 1 {
                    return SSL_CLIENT_HELLO_SUCCESS
                }
                alert?.pointee = SSL_AD_NO_APPLICATION_PROTOCOL
                return SSL_CLIENT_HELLO_ERROR
            }, nil)
    }
}

/// The settings that both sides have, and how errors name them.
private struct TLSSide {
    static let allVersions = [TLS1_VERSION, TLS1_1_VERSION, TLS1_2_VERSION, TLS1_3_VERSION]
    /// Words for the library's own list.
    static let libraryCiphers = ["default", "secure", "normal", "fast", ""]

    let name: String
    let protocols: ByteString
    let ciphers: ByteString
    let suites: ByteString?

    init(_ name: String, protocols: ByteString, ciphers: ByteString, suites: ByteString?) {
        self.name = name
        self.protocols = protocols
        self.ciphers = ciphers
        self.suites = suites
    }

    /// `nil` for a word that is no version.
    var versions: [Int32]? {
        let secure = [TLS1_2_VERSION, TLS1_3_VERSION]
        var versions: [Int32] = []
        for word in protocols.lossyText.lowercased().split(whereSeparator: { ",: \t".contains($0) }) {
            let isRemoved = word.hasPrefix("!")
            let named: [Int32]
            switch word.drop(while: { $0 == "!" }) {
            case "all", "tlsv1": named = Self.allVersions
            case "secure", "default": named = secure
            case "tlsv1.0": named = [TLS1_VERSION]
            case "tlsv1.1": named = [TLS1_1_VERSION]
            case "tlsv1.2": named = [TLS1_2_VERSION]
            case "tlsv1.3": named = [TLS1_3_VERSION]
            default: return nil
            }
            // A list that only takes away takes away from everything.
            if isRemoved, versions.isEmpty { versions = Self.allVersions }
            versions.removeAll { named.contains($0) }
            if !isRemoved { versions += named }
        }
        return versions.isEmpty && protocols.isEmpty ? secure : versions
    }

    func invalid(_ setting: String, _ value: ByteString) -> TLSFailure {
        TLSFailure(ByteString("TLS setup failed: invalid \(name)_\(setting): \(value.lossyText)"))
    }

    func failed(_ setting: String, _ value: ByteString, _ reason: ByteString) -> TLSFailure {
        TLSFailure(
            ByteString("TLS setup failed: \(name)_\(setting) \"\(value.lossyText)\": \(reason.lossyText)"))
    }
}
