import Config
import Primitives
import Testing

@Suite struct NotYetTests {
    @Test(
        arguments: [
            "auth_type = pam", "auth_type = ldap", "workers = 2\nclient_tls_sslmode = require",
            "workers = 2\nserver_tls_sslmode = require", "workers = 2\nio_uring = yes",
        ] as [ByteString])
    func whatIsMissingIsRefusedWithItsLine(line: ByteString) {
        let complaints = complaints("[pgbouncer]\n" + line)
        #expect(complaints.count == 1)
        #expect(complaints.first?.contains("not available yet") == true)
        #expect(complaints.first?.contains("(p.ini:") == true)
    }

    @Test(
        arguments: [
            "server_tls_sslmode = prefer", "io_uring = yes", "workers = 2\nio_uring = auto",
            "server_tls_sslmode = allow", "server_tls_sslmode = disable",
            "server_tls_sslmode = verify-full", "client_tls_sslmode = disable",
            "client_tls_sslmode = require",
            "auth_type = cert", "so_reuseport = 1", "auth_type = plain", "auth_type = any",
            "auth_type = hba",
            "so_reuseport = 1\n[peers]\n1 = host=x", "auth_query = select 1", "auth_user = joe",
            "[databases]\nx = auth_user=joe",
        ] as [ByteString])
    func theRestIsNot(line: ByteString) {
        #expect(complaints("[pgbouncer]\n" + line) == [])
    }
}
