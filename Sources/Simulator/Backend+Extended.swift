/// The extended query protocol (manual: "Extended Query").
extension Backend {
    mutating func parse(_ body: Bytes) {
        let name = body.cString(at: 0)
        let sql = body.cString(at: name.next).bytes
        settings.beginIfNeeded()
        if name.bytes.isEmpty { unnamed = nil }
        let sentences = Sentence.all(sql)
        if sentences.count > 1 {
            return fail("42601", "cannot insert multiple commands into a prepared statement")
        }
        if case .broken(let token)? = sentences.first {
            return fail("42601", "syntax error at " + token.text)
        }
        if status == 0x45, let sentence = sentences.first, !sentence.endsTransaction { return failAborted() }
        let prepared = Prepared(sentence: sentences.first)
        if name.bytes.isEmpty {
            unnamed = prepared
        } else if statements[name.bytes] != nil {
            return fail("42P05", "prepared statement \"\(name.bytes.text)\" already exists")
        } else {
            statements[name.bytes] = prepared
        }
        output.message("1")
    }

    private mutating func failAborted() {
        fail("25P02", "current transaction is aborted, commands ignored until end of transaction block")
    }

    private func statement(_ name: Bytes) -> Prepared? { name.isEmpty ? unnamed : statements[name] }

    private mutating func failUnknown(statement name: Bytes) {
        fail(
            "26000",
            name.isEmpty
                ? "unnamed prepared statement does not exist"
                : "prepared statement \"\(name.text)\" does not exist")
    }

    mutating func bind(_ body: Bytes) {
        let portal = body.cString(at: 0)
        let name = body.cString(at: portal.next)
        settings.beginIfNeeded()
        guard let prepared = statement(name.bytes) else { return failUnknown(statement: name.bytes) }
        // Formats, then one parameter at most: the token.
        var offset = name.next
        offset += 2 + 2 * body.uint16(at: offset)
        let parameters = body.uint16(at: offset)
        offset += 2
        var token = Bytes()
        if parameters > 0 {
            let length = Int(body.uint32(at: offset))
            token = Array(body.dropFirst(offset + 4).prefix(length))
        }
        if status == 0x45, let sentence = prepared.sentence, !sentence.endsTransaction {
            return failAborted()
        }
        if !portal.bytes.isEmpty, portals[portal.bytes] != nil {
            return fail("42P03", "cursor \"\(portal.bytes.text)\" already exists")
        }
        portals[portal.bytes] = Portal(sentence: prepared.sentence, token: token)
        output.message("2")
    }

    mutating func describe(_ body: Bytes) {
        let name = body.cString(at: 1).bytes
        settings.beginIfNeeded()
        let sentence: Sentence?
        if body.first == 0x53 {
            guard let prepared = statement(name) else { return failUnknown(statement: name) }
            sentence = prepared.sentence
            if status == 0x45, sentence?.hasRows == true { return failAborted() }
            output.message("t") {
                $0.append(uint16: 1)
                $0.append(uint32: 25)
            }
        } else {
            guard let portal = portals[name] else { return failUnknown(portal: name) }
            sentence = portal.sentence
            if status == 0x45, sentence?.hasRows == true { return failAborted() }
        }
        if sentence?.hasRows == true { rowDescription() } else { output.message("n") }
    }

    private mutating func failUnknown(portal name: Bytes) {
        fail("34000", "portal \"\(name.text)\" does not exist")
    }

    mutating func execute(_ body: Bytes) {
        let name = body.cString(at: 0)
        settings.beginIfNeeded()
        guard let portal = portals[name.bytes] else { return failUnknown(portal: name.bytes) }
        guard portal.sentence != nil else {
            output.message("I")
            return
        }
        running = [.portal(name.bytes, limit: Int(body.uint32(at: name.next)))]
    }

    mutating func close(_ body: Bytes) {
        let name = body.cString(at: 1).bytes
        if body.first == 0x53 {
            if name.isEmpty { unnamed = nil } else { statements[name] = nil }
        } else {
            portals[name] = nil
        }
        output.message("3")
    }

    mutating func rowDescription() {
        output.message("T") {
            $0.append(uint16: 1)
            $0.append(cString: "x")
            $0.append(uint32: 0)
            $0.append(uint16: 0)
            $0.append(uint32: 25)
            $0.append(uint16: 0xFFFF)
            $0.append(uint32: 0xFFFF_FFFF)
            $0.append(uint16: 0)
        }
    }
}
