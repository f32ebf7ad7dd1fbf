"""Certificates for TLS, made by openssl: an authority, a server and clients of it."""
import subprocess


def openssl(*arguments, **options):
    subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True, **options)


class Authority:
    def __init__(self, folder, name="authority"):
        self.folder = folder
        folder.mkdir(exist_ok=True)
        self.ca = folder / "ca.pem"
        self.key = folder / "ca-key.pem"
        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
                "-subj", f"/CN={name}", "-keyout", self.key, "-out", self.ca)

    def issue(self, name, extension):
        """A folder with ca.pem, cert.pem and key.pem, as docker's $DOCKER_CERT_PATH has them."""
        folder = self.folder / name
        folder.mkdir()
        openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", f"/CN={name}",
                "-keyout", folder / "key.pem", "-out", folder / "request.pem")
        (folder / "extensions").write_text(extension)
        openssl("x509", "-req", "-days", "2", "-in", folder / "request.pem", "-CA", self.ca, "-CAkey", self.key,
                "-CAcreateserial", "-extfile", folder / "extensions", "-out", folder / "cert.pem")
        (folder / "ca.pem").write_text(self.ca.read_text())
        return folder

    def server(self, name="server"):
        return self.issue(name, "subjectAltName=DNS:localhost,IP:127.0.0.1\nextendedKeyUsage=serverAuth\n")

    def client(self, name="client"):
        return self.issue(name, "extendedKeyUsage=clientAuth\n")
