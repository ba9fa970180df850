// Writes archive.tar as tar-stream writes it for a caller that passes lstat's sizes:
//   npm install tar-stream@3.1.7 && node make_archive.cjs > archive.tar
// Directories, hard links, devices and FIFOs then have a size in their headers, and no data. Sizes are multiples of 512:
// for others tar-stream adds padding, but no data, and no program can read that.
const tar = require('tar-stream')

const pack = tar.pack()
const attributes = { mode: 0o755, uid: 0, gid: 0, mtime: new Date(1e12) }

function add (entry, content) {
  return new Promise((resolve, reject) => {
    pack.entry({ ...attributes, ...entry }, content, (error) => error ? reject(error) : resolve())
  })
}

async function main () {
  await add({ name: 'bin', type: 'directory', size: 4096 })
  for (let row = 0; row < 8; row++) {
    await add({ name: `bin/applet-${row}`, type: 'symlink', linkname: 'busybox', size: 7 })
  }
  await add({ name: 'bin/busybox', type: 'file' }, 'program')
  await add({ name: 'bin/link', type: 'link', linkname: 'bin/busybox', size: 512 })
  await add({ name: 'dev', type: 'directory', size: 12288 })
  await add({ name: 'dev/null', type: 'character-device', devmajor: 1, devminor: 3, size: 512 })
  await add({ name: 'dev/loop0', type: 'block-device', devmajor: 7, devminor: 0, size: 1024 })
  await add({ name: 'dev/pipe', type: 'fifo', size: 65536 })
  await add({ name: 'etc', type: 'directory', size: 512 })
  await add({ name: 'etc/motd', type: 'file' }, 'hello\n')
  await add({ name: 'l'.repeat(120) + 'ä', type: 'symlink', linkname: 't'.repeat(150), size: 150 })
  await add({ name: 'last', type: 'file' }, 'last')
  pack.finalize()
}

pack.pipe(process.stdout)
main()
