import CLinux
import EventLoop
import Primitives

/// The file that says which process we are; an empty path means none.
struct Pidfile {
    let path: ByteString

    /// Fails when the process in the file lives; removes the file when it does not.
    func clearWay(_ log: inout Log) throws(StartFailure) {
        guard !path.isEmpty, let content = Files.read(path).bytes else { return }
        let number = Self.process(in: content)
        if let number, number != linux_process_id(), linux_process_alive(number) != 0 { throw inUse }
        log.write(.log, "stale pidfile, removing")
        _ = path.withCString { linux_unlink($0) }
    }

    private static func process(in content: ByteString) -> Int32? {
        var number: Int32 = 0
        for byte in content.bytes.prefix(while: { $0 >= 0x30 && $0 <= 0x39 }).prefix(9) {
            number = number &* 10 &+ Int32(byte &- 0x30)
        }
        return number > 0 ? number : nil
    }

    /// Creates the file; somebody who did the same at the same moment is noticed.
    func write() throws(StartFailure) {
        guard !path.isEmpty else { return }
        let created = path.withCString { linux_create_file($0) }
        if created == -Int(linux_exists) { throw inUse }
        guard let file = Socket(result: created) else {
            let reason = errorText(Int32(truncatingIfNeeded: -created)).lossyText
            throw StartFailure(text: "could not open pidfile '\(path.lossyText)': \(reason)")
        }
        let content = Array("\(linux_process_id())\n".utf8)
        let written = content.withUnsafeBytes { linux_write(file.descriptor, $0.baseAddress, $0.count) }
        guard written == content.count else {
            remove()
            throw StartFailure(text: "could not write pidfile '\(path.lossyText)'")
        }
    }

    /// Waits until the file is gone, or the process in it.
    func awaitEnd(milliseconds: Int32) throws(StartFailure) {
        for _ in 0...(milliseconds / 20) {
            guard let content = Files.read(path).bytes else { return }
            if let process = Self.process(in: content), linux_process_alive(process) == 0 { return remove() }
            _ = linux_wait_ready(-1, 0, 20)
        }
        throw StartFailure(text: "takeover: the old process does not end")
    }

    func remove() {
        guard !path.isEmpty else { return }
        _ = path.withCString { linux_unlink($0) }
    }

    private var inUse: StartFailure {
        StartFailure(text: "pidfile '\(path.lossyText)' exists, another instance running?")
    }
}
