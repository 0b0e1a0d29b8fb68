import Config
import Primitives

extension Scenario {
    private var authType: AuthType {
        guard self["passwords"] > 0 else { return .trust }
        switch PasswordMethod(rawValue: self["client_auth"]) ?? .plain {
        case .md5: return .md5
        case .scram: return .scramSHA256
        case .plain, .none: return .plain
        }
    }

    /// As passwords, or as verifiers: then servers are logged in to with what clients have proved.
    private var secrets: [ByteString: ByteString] {
        let secret = self["verifiers"] > 0 ? Passwords().verifier : "secret"
        var secrets: [ByteString: ByteString] = ["anna": secret, "bob": secret]
        if self["server_auth"] > 0 { secrets["carl"] = "secret" }
        return secrets
    }

    /// The configuration that the options describe. Times in milliseconds.
    func snapshot(poolSize: Int, host: ByteString = "10.0.0.1", hasTwo: Bool = true) -> Snapshot {
        var global = GlobalSettings()
        global.serverTLSSSLMode = .disable
        global.authType = authType
        global.scramIterations = Passwords.iterations
        global.poolMode = mode
        global.defaultPoolSize = poolSize
        global.minPoolSize = self["min_pool_size"]
        global.reservePoolSize = self["reserve_pool_size"]
        global.reservePoolTimeout = .milliseconds(self["reserve_pool_timeout"])
        global.maxPreparedStatements = self["max_prepared_statements"]
        global.maxDbConnections = self["max_db_connections"]
        global.maxUserConnections = self["max_user_connections"]
        global.maxClientConn = self["max_client_conn"] > 0 ? self["max_client_conn"] : 10_000
        global.queryTimeout = .milliseconds(self["query_timeout"])
        global.queryWaitTimeout = .milliseconds(self["query_wait_timeout"])
        global.queryWaitNotify = .milliseconds(self["query_wait_notify"])
        global.idleTransactionTimeout = .milliseconds(self["idle_transaction_timeout"])
        global.transactionTimeout = .milliseconds(self["transaction_timeout"])
        global.clientIdleTimeout = .milliseconds(self["client_idle_timeout"])
        global.clientLoginTimeout = .milliseconds(self["client_login_timeout"])
        global.cancelWaitTimeout = .milliseconds(self["cancel_wait_timeout"])
        global.serverIdleTimeout = .milliseconds(self["server_idle_timeout"])
        if self["server_lifetime"] > 0 { global.serverLifetime = .milliseconds(self["server_lifetime"]) }
        global.serverConnectTimeout = .milliseconds(2000)
        global.serverLoginRetry = .milliseconds(self["server_login_retry"])
        global.serverCheckDelay = .milliseconds(self["server_check_delay"])
        global.serverRoundRobin = self["server_round_robin"] > 0
        global.serverResetQueryAlways = self["server_reset_query_always"] > 0
        global.verbose = self["verbose"]
        global.adminUsers = ["anna"]
        if self["many_pools"] > 0 { global.autodbIdleTimeout = .milliseconds(50) }
        global.statsPeriod = .seconds(5)
        var one = DatabaseEntry(name: "one")
        one.hosts = [host]
        if self["connect_query"] > 0 { one.connectQuery = "select 1" }
        var two = one
        two.name = "two"
        // Whoever comes, its servers are carl's.
        var three = one
        three.name = "three"
        three.user = "carl"
        var any = one
        any.name = "*"
        return Snapshot(
            global: global, databases: hasTwo ? [one, two, three] : [one, three],
            autoDatabase: self["many_pools"] > 0 ? any : nil, secrets: secrets)
    }
}
