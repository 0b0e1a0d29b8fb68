import Primitives

/// Settings that are right each by itself and wrong together.
enum Contradiction {
    struct Row: Sendable {
        /// The setting whose line an error names.
        let setting: ByteString
        let sentence: String
        let applies: @Sendable (GlobalSettings) -> Bool
    }

    static let rows: [Row] = [
        Row(
            setting: "proxy_protocol",
            sentence: "proxy_protocol believes nobody without proxy_protocol_trusted: name the proxies there"
        ) { $0.proxyProtocol && $0.proxyProtocolTrusted.isEmpty },
        Row(
            setting: "server_tls_negotiation",
            sentence: "direct needs server_tls_sslmode require, verify-ca or verify-full: "
                + "there is no falling back from it"
        ) { $0.serverTLSNegotiation == .direct && !$0.serverTLSSSLMode.demandsTLS },
    ]
}
