import Config
import Primitives
import Testing

@Suite struct NotYetTests {
    @Test(
        arguments: [
            "client_tls_sslmode = require", "client_tls_sslmode = allow", "server_tls_sslmode = verify-full",
            "auth_type = cert", "auth_type = pam", "auth_type = ldap",
        ] as [ByteString])
    func whatIsMissingIsRefusedWithItsLine(line: ByteString) {
        let complaints = complaints("[pgbouncer]\n" + line)
        #expect(complaints.count == 1)
        #expect(complaints.first?.contains("not available yet") == true)
        #expect(complaints.first?.contains("(p.ini:") == true)
    }

    @Test(
        arguments: [
            "server_tls_sslmode = prefer", "server_tls_sslmode = allow", "server_tls_sslmode = disable",
            "client_tls_sslmode = disable", "so_reuseport = 1", "auth_type = plain", "auth_type = any",
            "auth_type = hba",
            "so_reuseport = 1\n[peers]\n1 = host=x", "auth_query = select 1", "auth_user = joe",
            "[databases]\nx = auth_user=joe",
        ] as [ByteString])
    func theRestIsNot(line: ByteString) {
        #expect(complaints("[pgbouncer]\n" + line) == [])
    }
}
