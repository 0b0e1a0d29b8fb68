public import Primitives

/// Entries written as configuration files write them, without passwords.
extension DatabaseEntry {
    public var text: ByteString {
        var line = EntryLine()
        line.add("host", hostList)
        line.add("port", port == 5432 ? nil : ByteString("\(port)"))
        line.add("dbname", dbname)
        line.add("user", user)
        line.add("password", password == nil ? nil : "...")
        line.add("password_command", passwordCommand?.nameOfProgram)
        line.add("password_file", passwordFile)
        line.add("auth_user", authUser)
        line.add("auth_query", authQuery)
        line.add("auth_dbname", authDbname)
        line.add("pool_size", poolSize)
        line.add("min_pool_size", minPoolSize)
        line.add("reserve_pool_size", reservePoolSize)
        line.add("max_db_connections", maxDbConnections)
        line.add("max_db_client_connections", maxDbClientConnections)
        line.add("server_lifetime", serverLifetime)
        line.add("query_wait_timeout", queryWaitTimeout)
        line.add("pool_mode", poolMode?.name)
        line.add("connect_query", connectQuery)
        line.add("load_balance_hosts", loadBalanceHosts == .roundRobin ? nil : loadBalanceHosts.name)
        line.add("client_encoding", clientEncoding)
        line.add("datestyle", datestyle)
        line.add("timezone", timezone)
        line.add("application_name", applicationName)
        return line.text
    }

    /// Its hosts as the file has them; `nil` for none.
    var hostList: ByteString? {
        hosts.isEmpty ? nil : ByteString(Array(hosts.map(\.bytes).joined(separator: [0x2C])))
    }
}

extension ByteString {
    /// Of a command: its program only, because a password may stand behind it.
    var nameOfProgram: ByteString {
        let words = bytes.split(whereSeparator: \.isBlank)
        guard let program = words.first else { return self }
        // A variable in front of it may be one, too.
        let name = program.contains(UInt8(ascii: "=")) ? Array("...".utf8) : Array(program)
        return words.count == 1 ? ByteString(name) : ByteString(name + Array(" ...".utf8))
    }
}

extension UserEntry {
    public var text: ByteString {
        var line = EntryLine()
        line.add("password_command", passwordCommand?.nameOfProgram)
        line.add("password_file", passwordFile)
        line.add("pool_size", poolSize)
        line.add("reserve_pool_size", reservePoolSize)
        line.add("pool_mode", poolMode?.name)
        line.add("max_user_connections", maxUserConnections)
        line.add("max_user_client_connections", maxUserClientConnections)
        line.add("query_timeout", queryTimeout)
        line.add("query_wait_timeout", queryWaitTimeout)
        line.add("idle_transaction_timeout", idleTransactionTimeout)
        line.add("transaction_timeout", transactionTimeout)
        line.add("client_idle_timeout", clientIdleTimeout)
        return line.text
    }
}

extension PeerEntry {
    public var text: ByteString {
        var line = EntryLine()
        line.add("host", host)
        line.add("port", port == 6432 ? nil : ByteString("\(port)"))
        line.add("pool_size", poolSize)
        return line.text
    }
}

/// `key=value key='it''s'`, of the keys that have a value.
private struct EntryLine {
    private(set) var text: ByteString = ""

    mutating func add(_ key: ByteString, _ value: ByteString?) {
        guard let value else { return }
        let gap: [UInt8] = text.isEmpty ? [] : [0x20]
        text = ByteString(text.bytes + gap + key.bytes + [UInt8(ascii: "=")] + Self.quoted(value).bytes)
    }

    mutating func add(_ key: ByteString, _ value: Int?) { add(key, value.map { ByteString("\($0)") }) }

    mutating func add(_ key: ByteString, _ value: TimeSpan?) {
        add(key, value.map { ByteString($0.shortSeconds) })
    }

    private static func quoted(_ value: ByteString) -> ByteString {
        let quote = UInt8(ascii: "'")
        if !value.isEmpty, value.bytes.first != quote, !value.bytes.contains(where: \.isBlank) {
            return value
        }
        return ByteString([quote] + value.bytes.flatMap { $0 == quote ? [quote, quote] : [$0] } + [quote])
    }
}
