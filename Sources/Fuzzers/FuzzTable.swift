import Primitives

/// Every fuzzer. To add one: a file, a row here, and seeds in `Tests/Corpus/<name>`.
package enum FuzzTable {
    package static let all: [Fuzzer] = [
        Fuzzer(
            "F1", "first-bytes",
            "The first bytes of a connection are told apart as a model does, at the latest after 10,000.",
            limitBytes: 12_000, dictionary: FirstBytes.words, run: FirstBytes.run),
        Fuzzer(
            "F2", "startup-options",
            "Startup parameters and `options` mean what a byte-wise model says; the last of several counts.",
            dictionary: StartupOptions.words, run: StartupOptions.run),
        Fuzzer(
            "F3", "client-framing",
            "A client's messages reach the server unchanged and in order, however the stream is split.",
            limitBytes: 2048, boundMilliseconds: 500, dictionary: ClientFraming.words,
            run: ClientFraming.run),
        Fuzzer(
            "F4", "server-framing",
            "No bytes of a server trap, mix clients up or leave it with anybody while it owes something.",
            limitBytes: 2048, boundMilliseconds: 500, dictionary: ServerFraming.words,
            run: ServerFraming.run),
        Fuzzer(
            "F5", "scram-server",
            "A client is let in exactly when RFC 5802 by the book says so; unknown users go the same way.",
            dictionary: ScramServer.words, run: ScramServer.run),
        Fuzzer(
            "F6", "scram-client",
            "A server is believed only with its proof; secrets and verifiers are read as they are written.",
            boundMilliseconds: 2000, dictionary: ScramClient.words, run: ScramClient.run),
        Fuzzer(
            "F7", "ini",
            "A configuration counts whole or not at all, and reads what it prints; a reload loses nobody.",
            dictionary: IniFiles.words, run: IniFiles.run),
        Fuzzer(
            "F8", "hba", "An HBA file counts whole or not at all, and its first line that fits decides.",
            limitBytes: 1024, boundMilliseconds: 500, dictionary: AccessFiles.words, run: AccessFiles.run),
        Fuzzer(
            "F8b", "ident", "Maps and regular expressions keep the laws of matching, in bounded time.",
            limitBytes: 512, boundMilliseconds: 500, dictionary: IdentFiles.words, run: IdentFiles.run),
        Fuzzer(
            "F9", "userlist", "The list of users is read byte for byte as a model reads it, or refused.",
            dictionary: UserLists.words, run: UserLists.run),
        Fuzzer(
            "F10", "console",
            "No console command changes anything when it is refused, or given by a stats user.",
            limitBytes: 1024, dictionary: ConsoleCommands.words, run: ConsoleCommands.run),
        Fuzzer(
            "F11", "statement-words",
            "DEALLOCATE is recognised only where PostgreSQL's own lexer would; doubtful texts are passed on.",
            limitBytes: 600, dictionary: StatementWords.words, run: StatementWords.run),
        Fuzzer(
            "F13", "tls",
            "Whoever sits between two ends of TLS has nothing read that was not written, and nothing grow.",
            limitBytes: 2048, boundMilliseconds: 1000, dictionary: EncryptedStreams.words,
            run: EncryptedStreams.run),
        Fuzzer(
            "F14", "event-script",
            "Whatever clients, servers, operators and time do, rules hold after every event and all heals.",
            limitBytes: 1024, boundMilliseconds: 5000, dictionary: EventScript.words, run: EventScript.run),
        Fuzzer(
            "F15", "printed-text",
            "A log line has no control byte and fits; tables say names byte for byte.",
            dictionary: PrintedText.words, run: PrintedText.run),
        Fuzzer(
            "F16", "proxy-header",
            "A PROXY header is known by its last byte, whatever follows, and reads as it was written.",
            limitBytes: 5000, dictionary: ProxyHeaders.words, run: ProxyHeaders.run),
    ]

    /// Must fail, by a finding and by a trap; not among the others.
    package static let canaries: [Fuzzer] = [
        Fuzzer(
            "C1", "canary", "Fails on a word: proves that findings are seen.", dictionary: ["canary", "can"],
            run: Canary.sings),
        Fuzzer(
            "C2", "canary-trap", "Traps on a word: proves that traps are seen.",
            dictionary: ["canary", "can"], run: Canary.dies),
    ]

    package static func named(_ name: String) -> Fuzzer? {
        (all + canaries).first { $0.name == name || $0.id == name }
    }
}
