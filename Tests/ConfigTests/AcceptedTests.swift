import Config
import Primitives
import Testing

/// What other poolers of this kind leave out, alone and together, is no reason to complain.
@Suite struct AcceptedTests {
    @Test(
        arguments: [
            "server_tls_sslmode = prefer", "io_uring = yes", "workers = 2\nio_uring = auto",
            "server_tls_sslmode = allow", "server_tls_sslmode = disable",
            "server_tls_sslmode = verify-full", "client_tls_sslmode = disable",
            "client_tls_sslmode = require", "workers = 2\nclient_tls_sslmode = require",
            "workers = 2\nserver_tls_sslmode = require",
            "auth_type = cert", "so_reuseport = 1", "auth_type = plain", "auth_type = any",
            "auth_type = hba", "auth_type = pam", "auth_type = ldap",
            "so_reuseport = 1\n[peers]\n1 = host=x", "auth_query = select 1", "auth_user = joe",
            "[databases]\nx = auth_user=joe",
        ] as [ByteString])
    func noneOfTheseIsRefused(line: ByteString) {
        #expect(complaints("[pgbouncer]\n" + line) == [])
    }
}
