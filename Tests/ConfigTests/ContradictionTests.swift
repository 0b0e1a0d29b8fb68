import Config
import Primitives
import Testing

@Suite struct ContradictionTests {
    @Test(
        arguments: [
            "proxy_protocol = on", "server_tls_negotiation = direct",
            "server_tls_sslmode = prefer\nserver_tls_negotiation = direct",
            "server_tls_negotiation = direct\nserver_tls_sslmode = allow",
        ] as [ByteString])
    func whatIsWrongTogetherIsRefusedWithItsLine(lines: ByteString) {
        let complaints = complaints("[pgbouncer]\n" + lines)
        #expect(complaints.count == 1)
        #expect(complaints.first?.contains("(p.ini:") == true)
        #expect(
            complaints.first?.contains("trusted") == true || complaints.first?.contains("sslmode") == true)
    }

    @Test(
        arguments: [
            "proxy_protocol = on\nproxy_protocol_trusted = 10.0.0.0/8", "proxy_protocol_trusted = 10.0.0.0/8",
            "server_tls_sslmode = require\nserver_tls_negotiation = direct",
            "server_tls_negotiation = direct\nserver_tls_sslmode = verify-full",
            "server_tls_negotiation = postgres",
        ] as [ByteString])
    func theRestIsNot(lines: ByteString) { #expect(complaints("[pgbouncer]\n" + lines) == []) }
}
