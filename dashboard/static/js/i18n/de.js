/** Words of the shell, overview, settings and actions, in German. */
export default {
};
