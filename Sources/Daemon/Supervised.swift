import CLinux
import EventLoop
import Primitives
import Session

/// What a process knows of the supervisor that has started it: which sockets it is to listen on, and where
/// the log goes until it has read the configuration.
struct Supervised {
    /// The variable that says so, as a supervisor's own.
    static let variable: StaticString = "PGLIDO_LISTENERS"
    /// What a supervisor is told when no client is to be taken any more.
    static let stopping: ByteString = "PGLIDO=STOPPING\n"

    let post: Supervisor.Post

    /// Its files are the supervisor's to remove.
    var listeners: [Listeners.Listener] {
        post.listeners.map { Listeners.Listener(descriptor: $0.descriptor, isUnix: $0.isUnix) }
    }

    /// `nil` for a process that has no supervisor. From here on its end is a SIGINT for us.
    init?() {
        guard let post = Supervisor.Post(variable: Self.variable, of: linux_parent()),
            linux_end_with(linux_parent()) != 0
        else { return nil }
        self.post = post
        for listener in post.listeners { _ = linux_keep_from_children(listener.descriptor) }
        let wayOn = Environment.value(of: ServiceManager.wayOn).flatMap { Int32($0.lossyText) }
        if let wayOn { _ = linux_keep_from_children(wayOn) }
    }

    static func tellOfStopping() {
        if linux_environment(ServiceManager.wayOn.cString) != nil { ServiceManager.tell(stopping) }
    }
}

extension Listeners.Listener {
    /// From what `passOn` wrote.
    init?(word: ByteString) {
        let parts = word.bytes.split(separator: 0x20, maxSplits: 2, omittingEmptySubsequences: false)
        guard parts.count == 3, let descriptor = Int32(String(decoding: parts[0], as: UTF8.self)),
            descriptor > 2, linux_is_socket(descriptor) != 0
        else { return nil }
        self.init(
            descriptor: descriptor, isUnix: parts[1].elementsEqual([UInt8(ascii: "u")]),
            path: ByteString(Array(parts[2])))
    }
}

/// What one image of a process leaves for the next.
enum Environment {
    static func value(of name: StaticString) -> ByteString? {
        linux_environment(name.cString).map { text in
            var count = 0
            while text[count] != 0 { count += 1 }
            return ByteString(ByteView(UnsafeRawBufferPointer(start: text, count: count)))
        }
    }

    static func set(_ name: StaticString, to value: ByteString?) {
        guard let value else { return linux_set_environment(name.cString, nil) }
        value.withCString { linux_set_environment(name.cString, $0) }
    }
}
