import Foundation
import Primitives

/// A key and a certificate that vouches for itself, made with the openssl program, in files that go when the
/// process ends.
struct Keys: Sendable {
    static let shared = Keys(
        "localhost", "subjectAltName=DNS:localhost,IP:127.0.0.1,DNS:*.wild.example")
    static let other = Keys("localhost", "subjectAltName=DNS:localhost")
    /// An address as the common name, and no alternative names.
    static let address = Keys("10.1.2.3", nil)

    private let base: String

    private init(_ commonName: String, _ names: String?) {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent(
            "pglido-keys-\(ProcessInfo.processInfo.processIdentifier)")
        try? FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        base = folder.appendingPathComponent(UUID().uuidString).path
        let openssl = Process()
        openssl.executableURL = URL(fileURLWithPath: "/usr/bin/openssl")
        openssl.arguments =
            [
                "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days",
                "3",
                "-subj", "/CN=\(commonName)", "-keyout", base + ".key", "-out", base + ".crt",
            ] + (names.map { ["-addext", $0] } ?? [])
        openssl.standardError = FileHandle.nullDevice
        try? openssl.run()
        openssl.waitUntilExit()
        precondition(openssl.terminationStatus == 0, "openssl made no certificate")
    }

    func path(_ suffix: String) -> ByteString { ByteString(base + suffix) }
}
