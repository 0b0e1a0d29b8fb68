/// COPY (manual: "COPY Operations").
extension Backend {
    mutating func copyIn(_ token: Bytes, failsAt: Int?) {
        if failsAt == 0 { return fail("42P01", "relation does not exist " + token.text) }
        copy = Copy(token: token, failsAt: failsAt, isExtended: !isSimple)
        copyResponse("G")
        wantsFlush = true
    }

    mutating func copyOut(_ count: Int, _ token: Bytes) {
        copyResponse("H")
        for index in 0..<count {
            output.message("d") {
                $0.append(contentsOf: token)
                $0.append(contentsOf: Array(String(index).utf8))
                $0.append(0x0A)
            }
        }
        output.message("c")
        output.message("C") { $0.append(cString: "COPY \(count)") }
    }

    private mutating func copyResponse(_ kind: Character) {
        output.message(kind) {
            $0.append(0)
            $0.append(uint16: 1)
            $0.append(uint16: 0)
        }
    }

    /// A message while rows are being taken: Flush and Sync are ignored, anything of another exchange is
    /// fatal.
    mutating func copyMessage(_ kind: UInt8, _ body: Bytes) {
        guard var now = copy else { return }
        switch kind {
        case 0x64:
            now.taken += 1
            copy = now
            if now.failsAt == now.taken { fail("22P04", "extra data " + now.token.text) }
        case 0x63:
            copy = nil
            output.message("C") { $0.append(cString: "COPY \(now.taken)") }
            if !running.isEmpty { running.removeFirst() }
            if running.isEmpty, isSimple { finishQuery() }
        case 0x66:
            fail("57014", "COPY from stdin failed: " + now.token.text)
        case 0x48, 0x53:
            break
        default:
            report("E", "ERROR", "08P01", "unexpected message type \(kind) during COPY from stdin")
            fatal("08P01", "terminating connection because protocol synchronization was lost")
        }
    }
}
