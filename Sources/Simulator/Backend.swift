import Primitives

/// A PostgreSQL session as the manual describes it (chapters "Message Flow" and "Message Formats"), for the
/// language of `Sentence`. A value: the servers of a run are made of it, and so is the ideal that each
/// client's answers are compared with.
///
/// It moves in steps: `need` says what is next, the caller takes the step when its time has come.
struct Backend {
    enum Need: Equatable {
        /// More bytes from the client.
        case input
        /// A message is here: `takeMessage`.
        case message
        /// A statement runs for so many microseconds: `execute`, or `execute(cancelled: true)`.
        case statement(UInt64)
        case ended
    }

    struct Prepared {
        var sentence: Sentence?
    }

    struct Portal {
        var sentence: Sentence?
        var token: Bytes
        var sent = 0
        var hasStarted = false
    }

    struct Savepoint {
        let name: Bytes
        let settings: SessionSettings
        let portals: Set<Bytes>
    }

    struct Copy {
        var token: Bytes
        var failsAt: Int?
        var taken = 0
        var isExtended: Bool
    }

    /// A statement about to run: from a query string, or through a portal.
    enum Running {
        case simple(Sentence)
        case portal(Bytes, limit: Int)
        case call(Bytes)
    }

    var input = ByteQueue()
    var output = Bytes()
    var status: UInt8 = 0x49
    var settings = SessionSettings()
    var statements: [Bytes: Prepared] = [:]
    var unnamed: Prepared?
    var portals: [Bytes: Portal] = [:]
    /// Of the open transaction, oldest first.
    var savepoints: [Savepoint] = []
    /// Channels it has asked for, now and at any time.
    var channels: Set<Bytes> = []
    var formerChannels: Set<Bytes> = []
    /// What it has told others that nobody has passed on yet.
    var notified: [(channel: Bytes, token: Bytes)] = []
    /// An error in the extended protocol: everything up to Sync is ignored.
    var skips = false
    var copy: Copy?
    /// The rest of the query string, first to come first.
    var running: [Running] = []
    var isSimple = false
    /// Something of an implicit transaction has run.
    var hasEnded = false
    /// Tokens of statements that began to run since somebody looked; only kept when `notesTokens`.
    var started: [Bytes] = []
    var notesTokens = false
    /// PostgreSQL holds answers back until ReadyForQuery, an error, a Flush, a CopyInResponse, or a full
    /// buffer.
    var wantsFlush = false
    init() {}

    var mayFlush: Bool {
        mutating get {
            defer { wantsFlush = false }
            return wantsFlush || output.count > 8192 || hasEnded
        }
    }

    /// A batch of the extended protocol has begun and its Sync has not come.
    var hasOpenBatch: Bool { settings.isInTransaction && status == 0x49 && !isSimple }

    var need: Need {
        if hasEnded { return .ended }
        if let next = running.first, copy == nil { return .statement(cost(next)) }
        guard let header = input.header, input.count >= header.length else { return .input }
        return .message
    }

    private func cost(_ running: Running) -> UInt64 {
        if case .sleep(let span, _)? = sentence(of: running) { return status == 0x45 ? 0 : span }
        return 0
    }

    func sentence(of running: Running) -> Sentence? {
        switch running {
        case .simple(let sentence): sentence
        case .portal(let name, _): portals[name]?.sentence
        case .call: nil
        }
    }

    /// The token of the statement that runs now.
    var runningToken: Bytes? {
        guard let first = running.first else { return nil }
        if case .portal(let name, _) = first, let portal = portals[name], !portal.token.isEmpty {
            return portal.token
        }
        if case .call(let token) = first { return token }
        return sentence(of: first)?.token
    }

    // MARK: Messages

    /// Takes the message at the front, which must be whole.
    mutating func takeMessage() {
        guard let (kind, body) = input.takeMessage() else { return }
        if copy != nil { return copyMessage(kind, body) }
        if skips, kind != 0x53, kind != 0x58 { return }
        switch kind {
        case 0x51: query(body)
        case 0x50: parse(body)
        case 0x42: bind(body)
        case 0x44: describe(body)
        case 0x45: execute(body)
        case 0x43: close(body)
        case 0x53: sync()
        case 0x46: call(body)
        case 0x58: hasEnded = true
        case 0x48: wantsFlush = true
        case 0x64, 0x63, 0x66: break
        default: fatal("08P01", "invalid frontend message type \(kind)")
        }
    }

    /// An empty query at the front: whatever signal is due is dealt with before it is answered.
    var frontIsEmptyQuery: Bool {
        guard let header = input.header, header.kind == 0x51, copy == nil, !skips else { return false }
        return header.length == 6 && input.count >= 6
    }

    /// Whether the message at the front can cause no answer at all.
    var frontIsSilent: Bool {
        guard running.isEmpty || copy != nil, let header = input.header, input.count >= header.length else {
            return false
        }
        if let copy {
            if header.kind == 0x64 { return copy.failsAt != copy.taken + 1 }
            return header.kind == 0x48 || header.kind == 0x53
        }
        if skips { return header.kind != 0x53 && header.kind != 0x58 }
        return header.kind == 0x48 || header.kind == 0x64 || header.kind == 0x63 || header.kind == 0x66
    }

    mutating func takeSilentMessages() { while frontIsSilent { takeMessage() } }

    private mutating func query(_ body: Bytes) {
        let sql = body.cString(at: 0).bytes
        unnamed = nil
        isSimple = true
        settings.beginIfNeeded()
        let sentences = Sentence.all(sql)
        for sentence in sentences {
            if case .broken(let token) = sentence {
                return fail("42601", "syntax error at " + token.text)
            }
        }
        running = sentences.map { .simple($0) }
        if sentences.isEmpty {
            output.message("I")
            finishQuery()
        }
    }

    mutating func finishQuery() {
        isSimple = false
        endImplicitTransaction()
        ready()
    }

    mutating func endImplicitTransaction() {
        guard status == 0x49 else { return }
        settings.commit()
        portals.removeAll()
    }

    mutating func ready() {
        settings.report(into: &output)
        output.message("Z") { $0.append(status) }
        wantsFlush = true
    }

    private mutating func sync() {
        skips = false
        endImplicitTransaction()
        ready()
    }

    private mutating func call(_ body: Bytes) {
        isSimple = true
        settings.beginIfNeeded()
        // Object id, formats, and one argument: the token.
        let formats = body.uint16(at: 4)
        let length = Int(body.uint32(at: 8 + 2 * formats))
        let start = 12 + 2 * formats
        running = [.call(Array(body.dropFirst(start).prefix(length)))]
    }

    // MARK: Errors

    /// ErrorResponse, and what follows from it.
    mutating func fail(_ state: String, _ text: String) {
        report("E", "ERROR", state, text)
        running.removeAll()
        copy = nil
        if status == 0x49 {
            settings.rollback()
            portals.removeAll()
        } else {
            status = 0x45
        }
        if isSimple {
            isSimple = false
            ready()
        } else {
            skips = true
        }
    }

    mutating func fatal(_ state: String, _ text: String) {
        report("E", "FATAL", state, text)
        running.removeAll()
        hasEnded = true
    }

    mutating func report(_ kind: Character, _ severity: String, _ state: String, _ text: String) {
        wantsFlush = true
        output.message(kind) {
            for (letter, value) in [("S", severity), ("V", severity), ("C", state), ("M", text)] {
                $0.append(contentsOf: letter.utf8)
                $0.append(cString: value)
            }
            $0.append(0)
        }
    }
}

extension Sentence {
    /// Whose statement it is.
    var token: Bytes? {
        switch self {
        case .rows(_, let token, _), .error(let token), .broken(let token), .sleep(_, let token),
            .notice(let token), .notify(_, let token), .show(_, let token), .copyIn(let token, _),
            .copyOut(_, let token):
            token
        case .begin, .commit, .rollback, .set, .deallocate, .discardAll, .configure, .other, .savepoint,
            .rollbackTo, .release, .listen:
            nil
        }
    }
}
