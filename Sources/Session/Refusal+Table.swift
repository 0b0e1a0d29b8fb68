import Primitives

/// The refusals as a list, for the README; a name stands where a text has one.
extension Refusal {
    package static let all: [Refusal] = [
        // before and during login
        .oldProtocol, .startupLayout, .noUser, .longUser, .encryptedRequestTail, .gssRequestTail,
        .tlsRequired, .repeatedStartup, .earlyPassword, .notAllowed, .shuttingDown, .loginTimeout,
        .loginTimeoutServerDown,
        .badConfiguration, .options, .maxClients, .maxClientsOfAddress, .shutOutAddress, .pushedOut,
        .headerMissing, .maxDatabaseClients, .maxUserClients,
        ByteString([0x16, 0x03, 0x01]).withView { .badHeader($0) },
        ByteString("NAME").withView { .unsupportedParameter($0) },
        ByteString("NAME").withView { .unsupportedOption($0) },
        ByteString("VALUE").withView { .replicationValue($0) }, .loginFailed,
        .noDatabase("NAME"), .disabledDatabase("NAME"), .disabledAuthDatabase("NAME"), .noSuchUser,
        .noServerPassword, .noMethod,
        .rejectedByRule,
        .certificateRejected, .peerRejected, .rejectedByLDAP, .rejectedByPAM, .noLDAPOptions,
        .loginFailing("CAUSE"),
        // while logged in
        .unknownMessage, .queryWaitTimeout, .queuedQueryTimeout, .queryTimeout, .idleTransactionTimeout,
        .transactionTimeout, .clientIdleTimeout, .statementPooling, .serverCrashed, .serverClosed,
        .serverOutOfStep, .parametersRejected, .databaseRemoved, .killed, .serverShutdown,
        .suspendTimeout, .configurationChanged, .brokenParse, .messageTooLong, .tooManyStatements, .canceled,
        .outOfRoom,
        .duplicateStatement("NAME"),
    ]

    /// The table of refusals in the README, in Markdown.
    package static func markdownTable() -> String {
        var text = "| what the client hears | severity | SQLSTATE | detail or hint |\n|---|---|---|---|\n"
        for refusal in all {
            let severity = refusal.severity == .fatal ? "FATAL" : "ERROR"
            let more = [refusal.detail, refusal.hint].compactMap { $0?.lossyText }.joined(separator: " ")
            text += "| `\(refusal.text.lossyText)` | \(severity) | \(refusal.state.lossyText) | \(more) |\n"
        }
        return text
    }
}
